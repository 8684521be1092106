import { Pool } from 'undici'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isIntegrationError } from '@ecokit/contracts'
import { openNetwork, resolveHosts } from '../src/index.ts'
import { kindOf, reachOf } from '../src/reach.ts'
import { guardedLookup } from '../src/transport.ts'
import type { NetworkRuntime } from '../src/index.ts'
import { handOverCounts } from '../../../../tools/proofs/counts.ts'
import { anything, attacks, get, resolving, runtimeOf, startServers, within } from './egress-attacks.ts'
import { forms6, lies, metadataAddresses, publicAddresses, publicNames } from './egress-forms.ts'
import { failure } from './support.ts'

const wanted = Number(process.env['ECOKIT_EGRESS'] ?? 1500)
const seed = Number(process.env['ECOKIT_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

let servers: Awaited<ReturnType<typeof startServers>>
beforeAll(async () => {
  servers = await startServers()
})
afterAll(() => servers.stop())

test(`the listener is reached where that is allowed, so that it would tell`, async () => {
  const { port, reached } = servers
  const before = reached()
  const url = `http://127.0.0.1:${port}`
  await within({ hosts: ['{url}'], config: { url } }, ({ http }) => http(url).json(get, anything))
  expect(reached()).toBe(before + 1)
  const six = `http://[::1]:${port}`
  await within({ hosts: ['{url}'], config: { url: six } }, ({ http }) => http(six).json(get, anything))
  expect(reached()).toBe(before + 2)
  // What the attacks below do, with the one word that allows it.
  const named = `http://tracking.example.com:${port}`
  for (const privateNetworks of ['allow', ['tracking.example.com'], ['*.example.com']] as const)
    await within(
      { hosts: ['{url}'], config: { url: named }, runtime: { lookup: resolving(['127.0.0.1']), privateNetworks } },
      ({ http }) => http(named).json(get, anything),
    )
  expect(reached()).toBe(before + 5)
})
test(
  `attacks by configs, replies, redirects and resolvers reach no listener (ECOKIT_SEED=${seed})`,
  { timeout: 300_000 },
  async () => {
    const all = attacks(wanted, seed)
    expect(new Set(all.slice(0, 300).map(({ name }) => name)).size).toBe(300)
    const { reached } = servers
    const before = reached()
    let refused = 0
    const odd: string[] = []
    for (const { name, run } of all) {
      const error = await run().then(
        () => undefined,
        (reason: unknown) => reason,
      )
      if (reached() !== before) throw new Error(`a connection came through: ${name}`)
      if (error === undefined) continue
      refused++
      if (!isIntegrationError(error)) odd.push(`${name}: ${error instanceof Error ? error.message : typeof error}`)
    }
    expect(odd).toEqual([])
    // The others went to the partner's own server, as a path of it.
    expect(refused).toBeGreaterThan(all.length * 0.9)
    handOverCounts({
      attacks: all.length,
      refused,
      answeredByThePartnerItself: all.length - refused,
      connections: reached() - before,
    })
  },
)

test('public addresses and names are not mistaken for others', async () => {
  for (const address of publicAddresses) expect({ address, kind: kindOf(address) }).toEqual({ address, kind: 'public' })
  const lookedUp = (name: string, reach: ReturnType<typeof reachOf>, found: string) =>
    new Promise<unknown>((resolve) => {
      guardedLookup(reach, resolving([found]))(name, { all: true }, (error, addresses) => resolve(error ?? addresses))
    })
  let passed = 0
  for (const [index, name] of publicNames.entries()) {
    const address = publicAddresses[index % publicAddresses.length] ?? ''
    for (const privateNetworks of ['configured', 'refuse'] as const) {
      const hosts = resolveHosts(['{url}'], { url: `https://${name}` })
      const origin = hosts[0]?.origin ?? ''
      const reach = reachOf('acme', origin, hosts, privateNetworks)
      expect({ name, refusal: reach.refusal() }).toEqual({ name, refusal: undefined })
      expect(await lookedUp(new URL(origin).hostname, reach, address)).toMatchObject([{ address }])
      passed++
    }
  }
  for (const address of publicAddresses) {
    const url = `https://${address.includes(':') ? `[${address}]` : address}`
    const hosts = resolveHosts(['{url}'], { url })
    expect(reachOf('acme', hosts[0]?.origin ?? '', hosts, 'refuse').refusal()).toBe(undefined)
    passed++
  }
  expect(passed).toBeGreaterThan(150)
})
test('no form of an address that is not public passes for one', () => {
  const all = [...lies([]).flat(), ...metadataAddresses, ...forms6.map((host) => host.slice(1, -1))]
  for (const address of all)
    expect({ address, public: kindOf(address) === 'public' }).toEqual({ address, public: false })
  expect(all.length).toBeGreaterThan(50)
})
test('of several addresses only those are used that the name may lead to', async () => {
  const hosts = resolveHosts(['{url}'], { url: 'https://tracking.example.com' })
  const reach = reachOf('acme', 'https://tracking.example.com', hosts)
  const mixed = resolving(['127.0.0.1', '1.1.1.1', '10.0.0.1', '2606:4700::1', '::1'])
  const all = await new Promise((resolve) => {
    guardedLookup(reach, mixed)('tracking.example.com', { all: true }, (_, addresses) => resolve(addresses))
  })
  expect(all).toEqual([
    { address: '1.1.1.1', family: 4 },
    { address: '2606:4700::1', family: 6 },
  ])
  const six = await new Promise((resolve) => {
    guardedLookup(reach, mixed)('tracking.example.com', { family: 6 }, (_, address) => resolve(address))
  })
  expect(six).toBe('2606:4700::1')
})

const reaches = (
  url: string,
  address: string,
  privateNetworks?: NonNullable<NetworkRuntime['privateNetworks']>,
  pattern = '{url}',
) => {
  const hosts = resolveHosts([pattern], { url, site: 'example.com' })
  return reachOf('acme', hosts[0]?.origin ?? '', hosts, privateNetworks).allows(address)
}
test.for([
  ['http://localhost:5000', '127.0.0.1', true],
  ['http://localhost:5000', '::1', true],
  ['http://localhost:5000', '10.0.0.1', false],
  ['http://mlflow:5000', '172.18.0.3', true],
  ['http://mlflow.corp.internal', '10.1.2.3', true],
  ['http://mlflow.ml.svc.cluster.local', '10.96.0.10', true],
  ['http://tracker.local', '192.168.1.20', true],
  ['http://mlflow.corp.internal', '169.254.169.254', false],
  ['http://mlflow.corp.internal', '100.100.100.200', false],
  ['http://mlflow.example.com', '10.1.2.3', false],
  ['http://10.1.2.3:5000', '10.1.2.3', true],
  ['http://10.1.2.3:5000', '127.0.0.1', false],
  ['http://169.254.169.254', '169.254.169.254', true],
] as const)('%s in the config, leading to %s: %s', ([url, address, allowed]) => {
  expect(reaches(url, address)).toBe(allowed)
  expect(reaches(url, address, 'refuse')).toBe(false)
})
test('a name that the manifest completes never leads to a private address, unless it is listed', () => {
  expect(reaches('', '10.0.0.1', 'configured', 'api.{site}')).toBe(false)
  expect(reaches('', '10.0.0.1', ['api.example.com'], 'api.{site}')).toBe(true)
  expect(reaches('', '10.0.0.1', ['*.example.com'], 'api.{site}')).toBe(true)
  expect(reaches('', '10.0.0.1', ['example.com'], 'api.{site}')).toBe(false)
  expect(reaches('', '10.0.0.1', 'allow', 'api.{site}')).toBe(true)
  expect(reaches('', '169.254.169.254', 'allow', 'api.{site}')).toBe(false)
})
test("a dispatcher of the host's own is not asked for an address that the origin's name forbids", async () => {
  const { port, reached } = servers
  const before = reached()
  for (const url of [`http://127.0.0.1:${port}`, 'http://metadata.google.internal']) {
    const dispatcher = new Pool(`http://127.0.0.1:${port}`)
    const options = { hosts: ['{url}'], config: { url }, runtime: { dispatcher, privateNetworks: 'refuse' } } as const
    await within(options, ({ http }) => failure(http(url).json(get, anything), 'host_not_allowed'))
    await dispatcher.close()
  }
  expect(reached()).toBe(before)
})
test('the error names the address and the next step', async () => {
  const url = 'http://mlflow.example.com'
  const network = openNetwork({
    partner: 'acme',
    hosts: ['{url}'],
    config: { url },
    runtime: runtimeOf({ lookup: resolving(['10.1.2.3']) }),
  })
  const error = await failure(network.http(url).json(get, anything), 'host_not_allowed')
  expect(error.message).toBe(
    "acme: http://mlflow.example.com leads to 10.1.2.3, which is an address of a private network. If that is a server of your own, allow it: privateNetworks: ['mlflow.example.com'] in the runtime, or network: { privateNetworks: ['mlflow.example.com'] } of the partner in ecosystem.yaml",
  )
  expect(error.retryable).toBe(false)
  await network.close()
})
