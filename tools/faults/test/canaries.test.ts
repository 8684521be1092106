import { createRequire } from 'node:module'
import { globSync, readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { recordExchanges } from '../../../packages/authoring/testkit/src/index.ts'
import { connectUnknown } from '../../../packages/core/connect/src/index.ts'
import {
  defineConnector,
  isIntegrationError,
  type AnyConnection,
  type AnyConnector,
} from '../../../packages/core/contracts/src/index.ts'
import { sync } from '../../../packages/core/flow/src/index.ts'
import { faultsInFile } from '../../../packages/core/flow/test/openlineage.ts'
import { openStore } from '../../../packages/core/store/src/index.ts'
import { bearer } from '../../../packages/core/auth/src/index.ts'
import { local } from '../../../packages/connectors/local/src/index.ts'
import { mlflow } from '../../../packages/connectors/mlflow/src/index.ts'
import { handOverCounts } from '../../proofs/counts.ts'
import {
  formsOf,
  httpKinds,
  pick,
  randomOf,
  schedules,
  startFaults,
  type Faults,
  type HttpKind,
  type Incoming,
  type Outgoing,
} from '../index.ts'
import { canaryWord, listening, openSearch, type Search } from './canary.ts'
import { plantIn, schemeNames, type Planted } from './canary-schemes.ts'
import { laneClock } from './world.ts'

const count = Number(process.env['ECOKIT_CANARIES'] ?? 50)
const seed = Number(process.env['ECOKIT_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const kinds = Object.keys(httpKinds) as HttpKind[]

interface Span {
  readonly name: string
  readonly attributes: object
  readonly events: readonly object[]
  readonly status: object
}
/** OpenTelemetry's own SDK, where @ecokit/http has it for its tests. */
const inHttp = createRequire(new URL('../../../packages/core/http/package.json', import.meta.url))
const sdk = inHttp('@opentelemetry/sdk-trace-base') as {
  BasicTracerProvider: new (options: object) => object
  InMemorySpanExporter: new () => { getFinishedSpans(): readonly Span[]; reset(): void }
  SimpleSpanProcessor: new (exporter: object) => object
}
const { trace } = inHttp('@opentelemetry/api') as {
  trace: { setGlobalTracerProvider(provider: object): boolean; disable(): void }
}
const exporter = new sdk.InMemorySpanExporter()

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'ecokit-canaries-'))
  trace.setGlobalTracerProvider(
    new sdk.BasicTracerProvider({ spanProcessors: [new sdk.SimpleSpanProcessor(exporter)] }),
  )
})
afterAll(async () => {
  trace.disable()
  await rm(folder, { recursive: true, force: true })
})

/** A partner that says back whatever it was sent, as errors, as data and in its headers. */
const echo = (random: () => number) => {
  return ({ method, url, headers, body }: Incoming): Outgoing => {
    const heard = `${method} ${url} ${JSON.stringify(headers)} ${body.toString('utf8')}`
    const said = pick(random, [
      heard,
      Buffer.from(heard).toString('base64'),
      Buffer.from(heard).toString('hex'),
      encodeURIComponent(heard),
    ])
    const status = pick(random, [200, 200, 400, 401, 403, 404, 409, 422, 500, 503])
    const reply = { 'content-type': 'application/json', 'x-heard': encodeURIComponent(said).slice(0, 2000) }
    if (/token|device|oauth/.test(url) && random() < 0.6) {
      const granted = {
        access_token: 'granted',
        token_type: 'Bearer',
        expires_in: 3600,
        device_code: 'd',
        user_code: 'u',
        verification_uri: 'http://127.0.0.1/',
      }
      return { status: 200, headers: reply, body: Buffer.from(JSON.stringify(granted)) }
    }
    const value = {
      error: 'invalid_client',
      error_description: said,
      error_code: said.slice(0, 60),
      message: said,
      run: { info: said },
      next_page_token: said.slice(0, 40),
    }
    return {
      status,
      headers: reply,
      body: Buffer.from(random() < 0.8 ? JSON.stringify(value) : `<html>${said}</html>`),
    }
  }
}

/** The calls of the connector, with inputs that pass. */
const inputs: Readonly<Record<string, object>> = {
  'experiments.search': {},
  'experiments.create': { name: 'one' },
  'runs.search': {},
  'runs.get': { id: '1' },
  'runs.logBatch': { id: '1', params: { a: 'b' } },
  'metrics.history': { runId: '1', key: 'k' },
  'models.get': { name: 'm' },
  'models.delete': { name: 'm' },
  'artifacts.list': { runId: '1' },
  'artifacts.download': { runId: '1', path: 'p' },
}
const drain = async (value: unknown): Promise<void> => {
  if (typeof value === 'object' && value !== null && Symbol.asyncIterator in value)
    for await (const _ of value as AsyncIterable<unknown>) continue
  else if (typeof value === 'object' && value !== null && 'body' in value)
    await new Response((value as { body: BodyInit }).body).bytes()
}

const withAuth = (planted: Planted): AnyConnector => ({
  ...mlflow,
  manifest: { ...mlflow.manifest, auth: { probe: planted.scheme } },
})

/** Makes calls with planted secrets, and looks at everything that comes of it but the data itself, which is the partner's. */
const drive = async (about: {
  readonly planted: Planted
  readonly faults: Faults
  readonly search: Search
  readonly index: number
  readonly random: () => number
}): Promise<{ readonly calls: number; readonly failed: number }> => {
  const { planted, faults, search, index, random } = about
  const clock = laneClock()
  const file = path.join(folder, `recording-${index}.json`)
  const recorder =
    index % 5 === 0 ? recordExchanges({ file, secrets: planted.secrets.map(({ secret }) => secret) }) : undefined
  let calls = 0
  let failed = 0
  const attempt = async (place: string, work: () => unknown) => {
    calls += 1
    try {
      search.saw('health and answers of no data', await work())
    } catch (error) {
      failed += 1
      search.saw('errors', error)
      if (isIntegrationError(error)) search.saw('details of errors', error.details)
      else search.saw('errors', `${place}: not ours`)
    }
  }
  let connection: AnyConnection
  try {
    connection = connectUnknown(
      withAuth(planted),
      { name: 'probe', config: { trackingUri: faults.url }, credentials: { scheme: 'probe', ...planted.credentials } },
      {
        clock,
        random,
        policy: { attempts: 2, backoffMs: 10, maxBackoffMs: 20, deadlineMs: 20_000, breakAt: 2 },
        checkTimeoutMs: 3_000,
        log: (line) => search.saw('log lines', line),
        observe: (exchange) => search.saw('exchanges', exchange),
        observer: (event) => search.saw('events', event),
        ...(recorder === undefined ? {} : { dispatcher: recorder }),
      },
    )
  } catch (error) {
    search.saw('refusals of credentials', error)
    return { calls: 1, failed: 1 }
  }
  search.saw('connections', inspect(connection, { depth: 4, showHidden: true }))
  await attempt('check', () => connection.check())
  for (const name of Object.keys(inputs).filter(() => random() < 0.3)) {
    const [capability = '', operation = ''] = name.split('.')
    await attempt(name, async () => drain(await connection.call(capability, operation, inputs[name])))
  }
  await attempt('a stream', async () => drain(connection.read?.('runs')))
  await attempt('by hand', async () => {
    await (await connection.http().request({ method: 'GET', path: 'by/hand', query: { a: 'b' } })).body.cancel()
  })
  await attempt('status', () => connection.auth.status?.())
  await attempt('login', () => {
    const signal = AbortSignal.timeout(200)
    return connection.auth.login?.({ show: () => {}, signal })
  })
  if (index % 20 === 0) {
    const home = path.join(folder, `sync-${index}`)
    const store = await openStore(path.join(folder, `state-${index}.db`))
    const lake = connectUnknown(local, { name: 'lake', config: { folder: home } })
    const result = await sync({
      pipeline: { name: 'p', source: connection, sink: lake, sinkName: 'ndjson' },
      store,
      lineage: { file: path.join(folder, `lineage-${index}.ndjson`) },
    })
    search.saw('runs', result)
    // Before it is closed, so that the write-ahead log is there.
    for (const name of await readdir(folder))
      if (name.includes(`-${index}.`))
        search.saw(`files: ${name.replace(/\d+/, 'n')}`, await readFile(path.join(folder, name)))
    await lake.close()
    await store.close()
    const told = faultsInFile(path.join(folder, `state-${index}.db`))
    expect(told.events).toBeGreaterThan(0)
    expect(told.faults).toEqual([])
  }
  await attempt('close', () => connection.close())
  if (recorder !== undefined) {
    await recorder.close()
    search.saw('recordings', await readFile(file))
  }
  // The paths that went over the wire; a query only where the scheme is made for it.
  for (const { path: sent } of faults.seen) search.saw('paths', sent)
  if (planted.scheme.kind !== 'api_key') for (const { query } of faults.seen) search.saw('queries', query)
  return { calls, failed }
}

test(
  `${count} planted secrets come out nowhere (ECOKIT_SEED=${seed})`,
  async () => {
    const search = openSearch()
    const lanes = await Promise.all([0, 1, 2].map((lane) => startFaults({ upstream: echo(randomOf(seed + lane)) })))
    let planted = 0
    let index = 0
    let calls = 0
    let failed = 0
    const schemesSeen = new Set<string>()
    try {
      await listening(search, async () => {
        await Promise.all(
          lanes.map(async (faults) => {
            while (planted < count) {
              const mine = index++
              const name = schemeNames[mine % schemeNames.length] ?? ''
              const one = plantIn(name, mine, () => canaryWord(seed + planted++))
              // A private key counts too, as often as it is planted.
              if (one.secrets.some(({ secret }) => secret.startsWith('-----'))) planted += 1
              for (const { field, secret } of one.secrets)
                for (const line of secret.startsWith('-----')
                  ? secret.split('\n').filter((text) => text.length > 40)
                  : [secret])
                  search.plant(line, field)
              schemesSeen.add(name)
              const kind = kinds[mine % kinds.length] ?? 'latency'
              faults.set({
                kind,
                seed: seed + mine,
                schedule: schedules[Math.floor(mine / kinds.length) % schedules.length] ?? 'all',
              })
              const outcome = await drive({ planted: one, faults, search, index: mine, random: randomOf(seed + mine) })
              calls += outcome.calls
              failed += outcome.failed
              for (const span of exporter.getFinishedSpans())
                search.saw('spans', {
                  name: span.name,
                  attributes: span.attributes,
                  events: span.events,
                  status: span.status,
                })
              exporter.reset()
              // A config cannot carry one either: it is refused without showing it.
              const word = canaryWord(seed + 1_000_000 + mine)
              search.plant(word, 'the address')
              for (const trackingUri of [
                `http://user:${encodeURIComponent(word)}@127.0.0.1/`,
                `http://127.0.0.1/?key=${encodeURIComponent(word)}`,
              ])
                try {
                  connectUnknown(mlflow, {
                    name: 'probe',
                    config: { trackingUri },
                    credentials: { scheme: 'none' },
                  })
                  expect.unreachable('an address with a secret is refused')
                } catch (error) {
                  search.saw('refusals of config', error)
                }
            }
          }),
        )
      })
    } finally {
      await Promise.all(lanes.map((faults) => faults.stop()))
    }
    const found = search.found()
    const counts = {
      planted,
      connections: index,
      schemes: schemesSeen.size,
      calls,
      failed,
      searched: search.sizes,
      found: found.length,
    }
    console.log(JSON.stringify(counts))
    handOverCounts(counts)
    expect(found.slice(0, 10)).toEqual([])
    for (const place of [
      'errors',
      'log lines',
      'exchanges',
      'events',
      'spans',
      'recordings',
      'files: state-n.db',
      'files: state-n.db-wal',
      'files: lineage-n.ndjson',
      'connections',
      'paths',
      'refusals of config',
    ])
      expect([place, search.sizes[place] ?? 0]).not.toEqual([place, 0])
    expect(failed).toBeGreaterThan(calls / 10)
    expect(schemesSeen.size).toBe(schemeNames.length)
  },
  count > 100 ? 3_600_000 : 120_000,
)

test('a connector that leaks is caught, however it writes the secret', async () => {
  const token = canaryWord(seed)
  const exposed = { ...bearer(), exposed: true } as const
  const leaky = (leak: (token: string) => void) =>
    defineConnector(
      {
        id: 'leaky',
        title: 'Leaky',
        config: mlflow.manifest.config,
        hosts: ['{trackingUri}'],
        auth: { probe: exposed },
      },
      ({ credentials }) => ({
        check: () => {
          leak(credentials.token)
          return Promise.resolve({})
        },
      }),
    ) as unknown as AnyConnector
  const leaks: readonly ((token: string) => void)[] = [
    (secret) => console.log(`with ${secret}`),
    (secret) =>
      console.error({ headers: { authorization: `Basic ${Buffer.from(`me:${secret}`).toString('base64')}` } }),
    (secret) => void process.stdout.write(`${Buffer.from(secret).toString('hex')}\n`),
    (secret) => void process.stderr.write(`https://x/?q=${encodeURIComponent(secret)}\n`),
    (secret) => console.warn(new Error('outer', { cause: new Error(`inner ${secret}`) })),
  ]
  for (const leak of leaks) {
    const search = openSearch()
    search.plant(token, 'bearer: token')
    await listening(search, async () => {
      const connection = connectUnknown(leaky(leak), {
        config: { trackingUri: 'http://127.0.0.1:9' },
        credentials: { scheme: 'probe', token },
      })
      await connection.check()
      await connection.close()
    })
    expect(search.found()).not.toEqual([])
  }
})

test('the search finds every form, also in packed and binary files, and nothing where there is nothing', async () => {
  const { gzipSync } = await import('node:zlib')
  for (let index = 0; index < 16; index += 1) {
    const secret = canaryWord(seed + index)
    for (const form of [...formsOf(secret), Buffer.from(`user:${secret}`).toString('base64')])
      for (const value of [
        `before ${form} after`,
        { deep: { list: [form] } },
        Buffer.concat([Buffer.from([0, 1]), gzipSync(`x${form}y`)]),
      ]) {
        const search = openSearch()
        search.plant(secret, 'it')
        search.saw('here', value)
        expect([form, value, search.found().length > 0]).toEqual([form, value, true])
      }
    const clean = openSearch()
    clean.plant(secret, 'it')
    clean.saw('here', `before ${canaryWord(seed + index + 100)} after`)
    expect(clean.found()).toEqual([])
  }
})

test('the editor extension keeps nothing but the token of our own server, in the editor’s secret storage', () => {
  const root = fileURLToPath(new URL('../../../extensions/vscode/src/', import.meta.url))
  const sources = globSync('**/*.ts', { cwd: root }).map((file) => readFileSync(path.join(root, file), 'utf8'))
  expect(sources.length).toBeGreaterThan(5)
  const all = sources.join('\n')
  for (const storage of ['globalState', 'workspaceState', 'globalStorageUri', 'storageUri', 'writeFile', 'appendFile'])
    expect(all).not.toContain(storage)
  expect(all.match(/secrets\.store\(/g)).toHaveLength(1)
  expect(all).toMatch(/storeToken = \(secrets: vscode\.SecretStorage, url: string, token: string\)/)
})
