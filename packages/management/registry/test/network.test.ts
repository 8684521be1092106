import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isIntegrationError } from '@ecokit/contracts'
import { openStore } from '@ecokit/store'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { authority, serverCertificate, serverKey } from '../../../core/http/test/certificates.ts'
import { ecosystemSchema, openRegistry } from '../src/index.ts'
import type { RegistryOptions } from '../src/index.ts'
import { connectors } from './connectors.ts'
import { good, marked, parse } from './support.ts'

const one = (network: string, url = 'https://tracking.example.com'): string =>
  `version: 1\npartners:\n  one:\n    connector: tracker\n    config: { trackingUri: '${url}' }\n    network: ${network}\n`

const ajv = new Ajv({ allErrors: true, strict: false })
formats.default(ajv)
const accepts = ajv.compile(ecosystemSchema(connectors))

const badName =
  "not the name of a host; write mlflow.example.com or '*.corp.example.com', without http:// and port (an address that stands in the config is reached unasked)"
const badProxy =
  'not the URL of a proxy; write http://proxy.example.com:3128, or ${secret:name} or ${env:NAME} for one with a password'
const badPath = 'not the path of a file; write the path itself, relative to this file: certs/authority.pem'
const plainSecret =
  'a user or password may not stand in the file; keep the whole URL in the vault (`ecokit vault set`) and write ${secret:name}, or write ${env:NAME}'
const wholeValue =
  'a reference must be the whole value: ${secret:name} (lower case letters, digits, - and _), ${env:NAME} (letters, digits and _) or ${file:path}'

describe('what stands in the file', () => {
  test.each([
    '{}',
    '{ privateNetworks: configured }',
    '{ privateNetworks: refuse }',
    '{ privateNetworks: allow, http2: true, proxy: false, cache: false }',
    "{ privateNetworks: [mlflow.example.com, '*.corp.example.com', my_service, 10-1-2-3.example.com] }",
    "{ proxy: 'http://proxy.example.com:3128', cache: true }",
    "{ proxy: 'https://[::1]:3128/', cache: { maxBytes: 1000000, shared: true } }",
    "{ proxy: '${secret:proxy-url}', tls: {} }",
    "{ proxy: '${env:PROXY}', tls: { minVersion: TLSv1.2, ca: certs/authority.pem } }",
    "{ proxy: '${file:/run/secrets/proxy}', tls: { minVersion: TLSv1.3, ca: /etc/ssl/own authority.pem } }",
  ])('is taken, as it was written and by an editor too: %s', (network) => {
    const text = one(network)
    expect(good(text).partners[0]?.network).toEqual(parseYaml(network))
    expect([accepts(parseYaml(text)), accepts.errors]).toEqual([true, null])
  })

  const mistakes: readonly (readonly [network: string, field: string, message: string])[] = [
    [
      '{ «privateNetwork»: allow }',
      'privateNetwork',
      'unknown field `privateNetwork`; did you mean `privateNetworks`?',
    ],
    ['«true»', '', 'expected a map of fields, found true or false (in quotes it is a text)'],
    [
      '{ privateNetworks: «mlflow.example.com» }',
      'privateNetworks',
      'expected configured, refuse, allow or a list of names: [mlflow.example.com]',
    ],
    [
      '{ privateNetworks: «true» }',
      'privateNetworks',
      'expected configured, refuse, allow or a list of names: [mlflow.example.com]',
    ],
    ['{ privateNetworks: «[]» }', 'privateNetworks', 'name at least one host, or leave it out'],
    ['{ privateNetworks: [a.example.com, «10.1.2.3»] }', 'privateNetworks.1', badName],
    ['{ privateNetworks: [«10.0.0.0/8»] }', 'privateNetworks.0', badName],
    ["{ privateNetworks: [«'https://mlflow.example.com'»] }", 'privateNetworks.0', badName],
    ["{ privateNetworks: [«'mlflow.example.com:8443'»] }", 'privateNetworks.0', badName],
    ["{ privateNetworks: [«'*'»] }", 'privateNetworks.0', badName],
    ['{ http2: «yes» }', 'http2', 'expected true or false, found a text'],
    ['{ proxy: «proxy.example.com:3128» }', 'proxy', badProxy],
    ["{ proxy: «'socks5://proxy.example.com'» }", 'proxy', badProxy],
    ["{ proxy: «'http://proxy.example.com/path'» }", 'proxy', badProxy],
    ["{ proxy: «'http://proxy.example.com:99999'» }", 'proxy', badProxy],
    ["{ proxy: «'http://ada:pass@proxy.example.com'» }", 'proxy', plainSecret],
    ["{ proxy: «'http://token@proxy.example.com'» }", 'proxy', plainSecret],
    ["{ proxy: «'ada:pass@proxy.example.com:3128'» }", 'proxy', plainSecret],
    ["{ proxy: «'http://ada:${env:PASS}@proxy.example.com'» }", 'proxy', wholeValue],
    ["{ proxy: «'${secret:Proxy}'» }", 'proxy', wholeValue],
    ['{ proxy: «true» }', 'proxy', 'expected false or a URL: http://proxy.example.com:3128'],
    ['{ cache: «32» }', 'cache', 'expected true, false or a map with maxBytes and shared'],
    ['{ cache: { «maxBites»: 1000000 } }', 'cache.maxBites', 'unknown field `maxBites`; did you mean `maxBytes`?'],
    ['{ cache: { maxBytes: «1» } }', 'cache.maxBytes', 'must be at least 65536'],
    ['{ tls: { minVersion: «TLSv1.1» } }', 'tls.minVersion', 'unknown value `TLSv1.1`; did you mean `TLSv1.2`?'],
    ['{ tls: { minVersion: «1.2» } }', 'tls.minVersion', 'expected one of TLSv1.2 and TLSv1.3'],
    ["{ tls: { ca: «'-----BEGIN CERTIFICATE----- MII'» } }", 'tls.ca', badPath],
    ["{ tls: { ca: «'${file:certs/authority.pem}'» } }", 'tls.ca', badPath],
    ["{ tls: { ca: «''» } }", 'tls.ca', badPath],
    [
      '{ tls: { «rejectUnauthorized»: false } }',
      'tls.rejectUnauthorized',
      'unknown field `rejectUnauthorized`; fields here: minVersion and ca',
    ],
  ]
  test.each(mistakes)('is refused at its place: %s', (network, field, message) => {
    const { text, range } = marked(one(network))
    const problems = parse(text).problems.map(({ secret: _, ...problem }) => problem)
    expect(problems).toEqual([
      { field: ['partners.one.network', ...(field === '' ? [] : [field])].join('.'), message, ...range },
    ])
    // A port over 65535 is the one thing that no pattern says.
    expect([network, accepts(parseYaml(text))]).toEqual([network, text.includes(':99999')])
  })

  test('a proxy with a password says where the whole URL could be kept, and shows it nowhere', () => {
    const { problems } = parse(one("{ proxy: 'http://ada:s3cret-canary@proxy.example.com' }"))
    expect(problems).toMatchObject([{ secret: { name: 'one-proxy', partner: 'one' } }])
    for (const scheme of ['http://', 'socks://', ''])
      expect(JSON.stringify(parse(one(`{ proxy: '${scheme}ada:s3cret-canary@x' }`)).problems)).not.toContain('canary')
  })
})

const caught = async (work: Promise<unknown>) => {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (isIntegrationError(error)) return error
  throw new Error(`not the error that was expected: ${String(error)}`)
}
const open = async (text: string, more: Partial<RegistryOptions> = {}) => {
  const store = await openStore(':memory:')
  onTestFinished(() => store.close())
  return openRegistry({ store, connectors, ecosystem: good(text), env: {}, ...more })
}
const folder = async (files: Readonly<Record<string, string>>) => {
  const path = await mkdtemp(join(tmpdir(), 'ecokit-network-'))
  onTestFinished(() => rm(path, { recursive: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text)
  return path
}
/** A name that looks public and leads to this machine, where a server answers; the names that were asked for. */
const resolving = async () => {
  const server = createServer((_, response) => response.setHeader('content-type', 'application/json').end('{}'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://tracking.example.com:${(server.address() as AddressInfo).port}`
  return { url, lookup: () => Promise.resolve([{ address: '127.0.0.1' }]) }
}

describe('what a connection is given', () => {
  test.each([
    ['{}', false],
    ['{ privateNetworks: configured, proxy: false }', false],
    ['{ privateNetworks: [other.example.com], proxy: false }', false],
    ['{ privateNetworks: [tracking.example.com], proxy: false }', true],
    ["{ privateNetworks: ['*.example.com'], proxy: false }", true],
    ['{ privateNetworks: allow, proxy: false }', true],
  ])('a public name may lead to a private address only where the file says so: %s', async (network, reached) => {
    const { url, lookup } = await resolving()
    await using connection = await (await open(one(network, url))).connect('one', { lookup, environment: {} })
    const { status, code, message } = await connection.check()
    const told =
      "privateNetworks: ['tracking.example.com'] in the runtime, or network: { privateNetworks: ['tracking.example.com'] } of the partner in ecosystem.yaml"
    expect([status, code, message?.includes(told)]).toEqual(
      reached ? ['healthy', undefined, undefined] : ['unhealthy', 'host_not_allowed', true],
    )
  })

  test('`refuse` takes away what the config could reach', async () => {
    const { url } = await resolving()
    const here = url.replace('tracking.example.com', '127.0.0.1')
    for (const [network, status] of [
      ['{ privateNetworks: configured }', 'healthy'],
      ['{ privateNetworks: refuse }', 'unhealthy'],
    ] as const) {
      await using connection = await (await open(one(network, here))).connect('one', { environment: {} })
      expect(await connection.check()).toMatchObject({ status })
    }
  })

  test('replies are kept where the file says so', async () => {
    let asked = 0
    const server = createServer((_, response) => {
      asked += 1
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=600' }).end('{}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const asks = async (network: string) => {
      await using connection = await (await open(one(network, url))).connect('one', { environment: {} })
      const before = asked
      await connection.check()
      await connection.check()
      return asked - before
    }
    expect(await asks('{}')).toBe(2)
    expect(await asks('{ cache: true }')).toBe(1)
    expect(await asks('{ cache: { maxBytes: 65536 } }')).toBe(1)
  })

  test('a proxy out of the environment or the vault is used, and its password shows nowhere', async () => {
    const seen: string[] = []
    const proxy = createServer((request, response) => {
      seen.push(String(request.headers['proxy-authorization']))
      response.writeHead(500).end()
    }).on('connect', (request, socket) => {
      seen.push(String(request.headers['proxy-authorization']))
      socket.end('HTTP/1.1 407 no\r\n\r\n')
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      proxy.closeAllConnections()
      proxy.close()
    })
    const url = `http://ada:s3cret-canary@127.0.0.1:${(proxy.address() as AddressInfo).port}`
    const policy = { attempts: 1 }
    for (const [reference, more] of [
      ['${env:PROXY}', { env: { PROXY: url } }],
      [
        '${secret:proxy}',
        { secrets: (partner: string, name: string) => Promise.resolve(partner + name === 'oneproxy' ? url : '') },
      ],
    ] as const) {
      const registry = await open(one(`{ proxy: '${reference}' }`), more)
      await using connection = await registry.connect('one', { environment: {}, policy })
      const health = await connection.check()
      expect(health.status).toBe('unhealthy')
      expect(JSON.stringify([health, await registry.list()])).not.toContain('canary')
    }
    const authorization = `Basic ${Buffer.from('ada:s3cret-canary').toString('base64')}`
    expect(seen).toEqual([authorization, authorization])
  })

  test('what the file refers to is judged when it is needed, without its value', async () => {
    const refused = async (text: string, more: Partial<RegistryOptions> = {}) => {
      const error = await caught((await open(text, more)).connect('one'))
      expect(error).toMatchObject({ code: 'invalid_config', partner: 'one' })
      return error.message
    }
    expect(await refused(one("{ proxy: '${env:PROXY}' }"))).toBe(
      'one: partners.one.network.proxy needs the environment variable PROXY, which is not set. Set it (export PROXY=…) and start again, or change ecosystem.yaml',
    )
    expect(await refused(one("{ proxy: '${env:PROXY}' }"), { env: { PROXY: 'ada:canary@proxy' } })).toBe(
      'one: partners.one.network.proxy refers to what is no http(s) URL. Write it in the form http://user:password@proxy.example.com:3128',
    )
    const path = await folder({
      'empty.pem': '',
      'key.pem': serverKey,
      'broken.pem': `${authority}${authority.replace('MIIB', 'AAAA')}`,
      'large.pem': 'x'.repeat(1024 * 1024 + 1),
    })
    const next = 'Mend it, or change ecosystem.yaml'
    const pem = 'Give the certificates of the authority as PEM text (-----BEGIN CERTIFICATE-----)'
    for (const [name, message] of [
      ['absent.pem', `needs the file \`absent.pem\`, which is not there. ${next}`],
      ['empty.pem', `needs the file \`empty.pem\`, which is empty. ${next}`],
      ['.', `needs the file \`.\`, which is no file. ${next}`],
      ['large.pem', `needs the file \`large.pem\`, which is larger than 1048576 bytes. ${next}`],
      ['key.pem', `names the file \`key.pem\`, which holds no certificate. ${pem}`],
      ['broken.pem', `names the file \`broken.pem\`, whose certificate number 2 cannot be read. ${pem}`],
    ] as const)
      expect(await refused(one(`{ tls: { ca: ${name} } }`), { folder: path })).toBe(
        `one: partners.one.network.tls.ca ${message}`,
      )
  })

  test('an authority of its own, HTTP/2 and an old TLS are what the server sees', async () => {
    const seen: string[] = []
    const options = { cert: serverCertificate, key: serverKey, allowHTTP1: true }
    const server = createSecureServer(options, (_, response) => response.end('{}'))
    server.on('secureConnection', (socket: TLSSocket) => {
      seen.push(`${String(socket.getProtocol())} ${String(socket.alpnProtocol)}`)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
    const path = await folder({ 'authority.pem': `${serverKey}A comment.\n${authority}` })
    const check = async (network: string) => {
      const registry = await open(one(network, url), { folder: path })
      await using connection = await registry.connect('one', { environment: {}, policy: { attempts: 1 } })
      return await connection.check()
    }
    const unknown = await check('{}')
    expect(unknown).toMatchObject({ status: 'unhealthy', code: 'unavailable' })
    expect(unknown.message).toContain('network: { tls: { ca, minVersion } } of the partner in ecosystem.yaml')
    const known = await check('{ tls: { ca: authority.pem } }')
    expect(known).toMatchObject({ status: 'healthy' })
    expect(known).not.toHaveProperty('oldTls')
    expect(seen.at(-1)).toBe('TLSv1.3 http/1.1')
    const old = await check('{ http2: true, tls: { ca: authority.pem, minVersion: TLSv1.2 } }')
    expect(old).toMatchObject({ status: 'healthy', oldTls: true })
    expect(seen.at(-1)).toBe('TLSv1.3 h2')
  })
})

describe('who may say it', () => {
  const lake = { connector: 'lake', config: { database: 'x' } }
  test('a partner of the API has none: it cannot be given one, nor changed to have one', async () => {
    const registry = await open(one('{ privateNetworks: allow }'))
    const message = 'may stand only in the file; remove it, or add the partner there'
    const network = { privateNetworks: 'allow' }
    const given = await caught(registry.register('mine', { ...lake, network } as never))
    expect(given).toMatchObject({ code: 'invalid_config', details: { field: 'partners.mine.network' } })
    expect(given.message).toContain(`partners.mine.network: ${message}`)
    await registry.register('mine', lake)
    const changed = await caught(registry.update('mine', { network } as never))
    expect(changed.message).toContain(`partners.mine.network: ${message}`)
    expect(await caught(registry.update('one', { network } as never))).toMatchObject({ code: 'conflict' })
    expect(await caught(registry.update('one', { policy: {}, network } as never))).toMatchObject({ code: 'conflict' })
  })

  test('a public name of a partner of the API leads to no private address, whatever others in the file may', async () => {
    const { url, lookup } = await resolving()
    const registry = await open(one('{ privateNetworks: allow }', url))
    await registry.register('mine', { connector: 'tracker', config: { trackingUri: url } })
    for (const [name, status] of [
      ['one', 'healthy'],
      ['mine', 'unhealthy'],
    ] as const) {
      await using connection = await registry.connect(name, { lookup, environment: {} })
      expect(await connection.check()).toMatchObject({ status })
    }
  })

  test('a changed section is noticed by who watches the partner', async () => {
    const registry = await open(one('{}'))
    const revision = async () => (await registry.checks())[0]?.revision
    const before = await revision()
    await registry.syncFile(good(one('{ privateNetworks: allow }')))
    const after = await revision()
    expect(after).not.toBe(before)
    await registry.syncFile(good(one('{ privateNetworks: allow }')))
    expect(await revision()).toBe(after)
  })
})
