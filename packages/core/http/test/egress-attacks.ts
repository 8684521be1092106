import { createServer, type Server } from 'node:http'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { z } from 'zod'
import { openNetwork, resolveHosts } from '../src/index.ts'
import { kindOf } from '../src/reach.ts'
import type { NetworkOptions, NetworkRuntime } from '../src/index.ts'
import {
  forms4,
  forms6,
  lies,
  localNames,
  metadataAddresses,
  metadataHosts,
  numericForm,
  seeded,
} from './egress-forms.ts'
import { fakeClock } from './support.ts'

let reached = 0
let port = 0
let home = ''
/** A listener that nothing may reach: on every address of this machine, of both families. */
const trap = createTcpServer((socket) => {
  reached++
  socket.on('error', () => {}).end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}')
})
/** The partner's own server, which is configured, and answers with whatever attack the path names. */
let location = ''
let link = ''
const partner: Server = createServer((request, response) => {
  if (request.url === '/redirect') response.writeHead(302, { location }).end()
  else response.writeHead(200, { 'content-type': 'application/json', ...(link === '' ? {} : { link }) }).end('{}')
})
const listen = (server: { listen: Server['listen']; address: Server['address'] }, address: string) =>
  new Promise<number>((resolve) => server.listen(0, address, () => resolve((server.address() as AddressInfo).port)))
/** Starts both; the port is the trap's. */
export const startServers = async (): Promise<{ port: number; reached: () => number; stop: () => void }> => {
  port = await listen(trap as unknown as Server, '::')
  home = `http://127.0.0.1:${await listen(partner, '127.0.0.1')}`
  return {
    port,
    reached: () => reached,
    stop: () => {
      trap.close()
      partner.closeAllConnections()
      partner.close()
    },
  }
}

/** The other addresses of this machine. */
const own = Object.values(networkInterfaces()).flatMap((all) =>
  (all ?? [])
    .filter(({ internal, address }) => !internal && kindOf(address) !== 'public')
    .map(({ address }) => address),
)
const targets = ['127.0.0.1', '127.9.8.7', '0.0.0.0', ...own.filter((address) => address.includes('.'))]

export const get = { method: 'GET', path: 'x' }
export const runtimeOf = (runtime: NetworkRuntime): NetworkRuntime => ({
  clock: fakeClock(),
  random: () => 0.5,
  ...runtime,
})
export const within = async (
  options: Omit<NetworkOptions, 'partner'>,
  work: (network: ReturnType<typeof openNetwork>) => Promise<unknown>,
) => {
  const network = openNetwork({ partner: 'acme', ...options, runtime: runtimeOf(options.runtime ?? {}) })
  try {
    await work(network)
  } finally {
    await network.close()
  }
}

interface Attack {
  readonly name: string
  readonly run: () => Promise<unknown>
}
export const anything = z.unknown()
/** Everything that a reply of the partner's can try with a URL. */
const byReply = (url: string): Attack[] => [
  {
    name: `foreign ${url}`,
    run: () =>
      within({ hosts: ['{url}'], config: { url: home } }, async ({ http }) =>
        (await http(home).foreign(url)).body.cancel(),
      ),
  },
  {
    name: `redirect ${url}`,
    run: () => {
      location = url.replace(/[^\t\x20-\xff]/gu, (sign) => encodeURI(sign))
      return within({ hosts: ['{url}'], config: { url: home } }, ({ http }) =>
        http(home).json({ ...get, path: 'redirect' }, anything),
      )
    },
  },
  {
    name: `next page ${url}`,
    run: () => {
      link = `<${url.replace(/[^\x20-\xff]/gu, (sign) => encodeURI(sign))}>; rel="next"`
      return within({ hosts: ['{url}'], config: { url: home } }, async ({ http }) => {
        let pages = 0
        for await (const page of http(home).pages(get, anything, { kind: 'link' })) if (pages++ > 2) return page
        return undefined
      }).finally(() => (link = ''))
    },
  },
]
/** A config by a stranger. */
const byConfig = (url: string): Attack => ({
  name: `config ${url}`,
  run: () =>
    within({ hosts: ['{url}'], config: { url }, runtime: { privateNetworks: 'refuse' } }, ({ http }) =>
      http(url).json(get, anything),
    ),
})
export const resolving =
  (addresses: readonly string[]): NonNullable<NetworkRuntime['lookup']> =>
  () =>
    Promise.resolve(addresses.map((address) => ({ address })))
/** A name that leads to an address that the partner chooses. */
const byName = (addresses: readonly string[]): Attack[] => {
  const shown = JSON.stringify(addresses)
  const url = `http://tracking.example.com:${port}`
  const lookup = resolving(addresses)
  let asked = 0
  // At first the name leads home, as a check that is made only once would see.
  const rebinding: NonNullable<NetworkRuntime['lookup']> = () =>
    Promise.resolve(asked++ === 0 ? [{ address: '203.0.113.9' }] : addresses.map((address) => ({ address })))
  return [
    {
      name: `configured name that resolves to ${shown}`,
      run: () =>
        within({ hosts: ['{url}'], config: { url }, runtime: { lookup } }, ({ http }) => http(url).json(get, anything)),
    },
    {
      name: `manifest name that resolves to ${shown}`,
      run: () =>
        within(
          { hosts: [`http://api.{site}:${port}`], config: { site: 'corp.internal' }, runtime: { lookup } },
          ({ http }) => http(`http://api.corp.internal:${port}`).json(get, anything),
        ),
    },
    {
      name: `redirect to a declared name that resolves to ${shown}`,
      run: () => {
        location = url
        return within({ hosts: ['{url}', url], config: { url: home }, runtime: { lookup } }, ({ http }) =>
          http(home).json({ ...get, path: 'redirect' }, anything),
        )
      },
    },
    {
      name: `foreign declared name that resolves to ${shown}`,
      run: () =>
        within({ hosts: ['{url}', url], config: { url: home }, runtime: { lookup } }, async ({ http }) =>
          (await http(home).foreign(url)).body.cancel(),
        ),
    },
    {
      name: `token host that resolves to ${shown}`,
      run: () =>
        within(
          {
            hosts: ['{url}'],
            tokenHosts: [url],
            config: { url: home },
            runtime: { lookup },
            authorizer: (anonymous) => ({
              authorize: async () => {
                await anonymous(url).json(get, anything)
              },
            }),
          },
          ({ http }) => http(home).json(get, anything),
        ),
    },
    {
      name: `name that changes to ${shown}`,
      run: () =>
        within({ hosts: ['{url}'], config: { url }, runtime: { lookup: rebinding } }, async ({ http }) => {
          await http(url)
            .json(get, anything)
            .catch(() => {})
          await http(url).json(get, anything)
        }),
    },
    {
      name: `localhost that resolves elsewhere, without permission: ${shown}`,
      run: () =>
        within(
          {
            hosts: ['{url}'],
            config: { url: `http://localhost:${port}` },
            runtime: { lookup, privateNetworks: 'refuse' },
          },
          ({ http }) => http(`http://localhost:${port}`).json(get, anything),
        ),
    },
  ]
}

const tricks = (): string[] => {
  const bad = `127.0.0.1:${port}`
  const good = home.slice('http://'.length)
  return [
    `http://${good}@${bad}/`,
    `http://user:word@${bad}/`,
    `http://${good}:80@${bad}`,
    `http://${good}%40${bad}`,
    `http://${good}#@${bad}/`,
    `http://${good}?@${bad}/`,
    `http://${good}\\@${bad}/`,
    `http://${bad}\\@${good}/`,
    `http://${bad}#@${good}`,
    `http://${bad}?.${good}`,
    `http://${good}\t@${bad}/`,
    `\thttp://${bad}/`,
    `http://${bad}\t/`,
    `ht\ttp://${bad}/`,
    `http://127.0.0.1\t:${port}/`,
    `//${bad}/`,
    `///${bad}/`,
    `////${bad}/`,
    `\\\\${bad}\\`,
    `/\\${bad}/`,
    `\\/${bad}/`,
    `http:/${bad}/`,
    `http:${bad}/`,
    `http:\\\\${bad}/`,
    `HTTP://${bad}`,
    `https://${bad}`,
    `blob:http://${bad}/x`,
    `blob:${home}/@${bad}`,
    `filesystem:http://${bad}/x`,
    `view-source:http://${bad}`,
    `ftp://${bad}/`,
    `gopher://${bad}/_GET`,
    `ws://${bad}/`,
    `wss://${bad}/`,
    `file://${bad}/etc/passwd`,
    `jar:http://${bad}!/`,
    `dict://${bad}/`,
    `data:text/html,${bad}`,
    `javascript:fetch('http://${bad}')`,
    `${home}@${bad}`,
    `${home}:${port}`,
    home.replace(/\d+$/, String(port)),
    home.replace(/\d+$/, `00${port}`),
    `http://127.0.0.1:${port + 65536}/`,
    `http://[::1]:${port}`,
    `http://127.0.0.1:${port}:80/`,
    `http://127.0.0.1:+${port}/`,
    `http://${bad}%00.example.com/`,
    `http://${bad}%2f@example.com`,
    `http://;@${bad}`,
    `http://0/${bad}`,
    `http://127.0.0.1 :${port}`,
    `http://a@b@${bad}`,
    `http://%6c%6f%63%61%6c%68%6f%73%74:${port}`,
  ]
}
const byPath = (path: string): Attack => ({
  name: `path ${path}`,
  run: () =>
    within({ hosts: ['{url}'], config: { url: home } }, ({ http }) => http(home).json({ ...get, path }, anything)),
})
/** Values that try to leave the host name that the manifest completes. */
const bySite = (): Attack[] =>
  [
    `127.0.0.1:${port}`,
    `127.0.0.1:${port}/`,
    `x@127.0.0.1:${port}`,
    `x#@127.0.0.1:${port}`,
    `x?127.0.0.1`,
    `x\\@127.0.0.1:${port}`,
    `localhost:${port}`,
    `[::1]:${port}`,
    `1:${port}`,
    `0.0.1:${port}`,
    `\t127.0.0.1:${port}`,
  ].flatMap((value) =>
    [
      'http://api.{site}',
      'http://{site}.example.com',
      'http://127.{site}',
      'http://{a}.{site}',
      'http://{a}{site}',
    ].map((pattern) => ({
      name: `${pattern} with ${value}`,
      run: async () => {
        const config = { site: value, a: '127' }
        const lookup = resolving(['127.0.0.1'])
        for (const { origin } of resolveHosts([pattern], config))
          await within({ hosts: [pattern], config, runtime: { lookup } }, ({ http }) =>
            http(origin).json(get, anything),
          )
      },
    })),
  )
const byAuthorizer = (): Attack[] =>
  [`http://127.0.0.1:${port}/`, `http://localhost:${port}/x`].flatMap((url) => [
    {
      name: `authorizer that changes the host to ${url}`,
      run: () =>
        within(
          {
            hosts: ['{url}'],
            config: { url: home },
            authorizer: { authorize: (request) => void (request.url.host = new URL(url).host) },
          },
          ({ http }) => http(home).json(get, anything),
        ),
    },
    {
      name: `a proxy that a client of ours named: ${url}`,
      run: () =>
        within(
          {
            hosts: ['{url}'],
            config: { url: 'http://tracking.example.com' },
            runtime: { environment: { HTTP_PROXY: url, REQUEST_METHOD: 'GET' }, lookup: resolving([]) },
          },
          ({ http }) => http('http://tracking.example.com').json(get, anything),
        ),
    },
    {
      name: `a proxy asked for the metadata service: ${url}`,
      run: () =>
        within(
          {
            hosts: ['{url}', 'http://169.254.169.{last}'],
            config: { url: 'http://metadata.google.internal', last: '254' },
            runtime: { proxy: url },
          },
          ({ http }) =>
            http('http://metadata.google.internal')
              .json(get, anything)
              .catch(() => http('http://169.254.169.254').json(get, anything)),
        ),
    },
  ])

/** All of them, and as many random ones on top as it takes to have `wanted`. */
export const attacks = (wanted: number, seed: number): Attack[] => {
  const urls = [
    ...targets.flatMap(forms4),
    ...metadataAddresses.flatMap((address) => forms4(address).slice(0, 14)),
    ...forms6,
    ...localNames,
    ...metadataHosts,
  ].map((host) => `http://${host}:${port}/`)
  const random = seeded(seed)
  const fixed = [
    ...byAuthorizer(),
    ...bySite(),
    ...tricks().flatMap((url) => [...byReply(url), byConfig(url), byPath(url)]),
    ...lies(own).flatMap(byName),
    ...metadataHosts.map((name): Attack => ({
      name: `configured ${name}`,
      run: () => {
        const url = `http://${name}:${port}`
        return within(
          { hosts: ['{url}'], config: { url }, runtime: { lookup: resolving(['127.0.0.1']) } },
          ({ http }) => http(url).json(get, anything),
        )
      },
    })),
    ...urls.flatMap((url) => [byConfig(url), ...byReply(url)]),
  ]
  const more: Attack[] = []
  while (fixed.length + more.length < wanted) {
    const target = targets[Math.floor(random() * targets.length)] ?? '127.0.0.1'
    const url = `http://${numericForm(target, 1 + Math.floor(random() * 4), random)}:${port}/`
    const all = [byConfig(url), ...byReply(url)]
    const one = all[Math.floor(random() * all.length)]
    if (one !== undefined) more.push(one)
  }
  return [...fixed, ...more]
}
