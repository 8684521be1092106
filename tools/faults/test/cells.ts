import { connectUnknown } from '../../../packages/core/connect/src/index.ts'
import {
  isIntegrationError,
  type AnyConnection,
  type AnyConnector,
  type AuthScheme,
} from '../../../packages/core/contracts/src/index.ts'
import { mlflow } from '../../../packages/connectors/mlflow/src/index.ts'
import type { ToxicProxy } from '../../peers/index.ts'
import { pick, randomOf, schedules, type HttpKind } from '../index.ts'
import type { LogLine } from '../../../packages/core/http/src/index.ts'
import type { Answer, Call } from './calls.ts'
import { canaryWord, type Search } from './canary.ts'
import type { Direct, Lane } from './world.ts'
import { none } from '../../../packages/core/auth/src/index.ts'

export const tcpKinds = [
  'latency',
  'down',
  'bandwidth',
  'slow_close',
  'timeout',
  'reset_peer',
  'slicer',
  'limit_data',
] as const
export type TcpKind = (typeof tcpKinds)[number]
export type Kind = HttpKind | `tcp ${TcpKind}`

export interface Cell {
  readonly call: Call
  readonly kind: Kind
  /** Which of the seeds, from 0; the schedule of the fault follows from it. */
  readonly index: number
  readonly seed: number
}
export type Outcome = { readonly rows: Answer } | { readonly error: unknown }
export interface Result {
  /** `right`, or the code of the error. */
  readonly outcome: string
  readonly requests: number
  readonly waits: number
  /** What is wrong with it; empty where nothing is. */
  readonly faults: readonly string[]
}

const maxBackoffMs = 1000
let tokens = 0
const renewing = {
  kind: 'bearer',
  credentials: none().credentials,
  open: () => {
    let token = `renewed-${(tokens += 1)}-0`
    let renewals = 0
    return {
      authorize: ({ headers }) => headers.set('authorization', `Bearer ${token}`),
      refused: () => {
        renewals += 1
        token = token.replace(/\d+$/, String(renewals))
        return Promise.resolve(true)
      },
    }
  },
} satisfies AuthScheme
/** The connector with a credential that can be renewed, as OAuth's are. */
const renewable: AnyConnector = { ...mlflow, manifest: { ...mlflow.manifest, auth: { renewing } } }

/** A fault of TCP as the seed has it. */
export const poison = async (proxy: ToxicProxy, kind: TcpKind, index: number, random: () => number): Promise<void> => {
  const share = [1, 0.5, 0.3, 1, 0.7][index % 5] ?? 1
  const upTo = (most: number): number => Math.floor(random() * most)
  switch (kind) {
    case 'latency':
      return proxy.add({ type: kind, attributes: { latency: upTo(30), jitter: upTo(10) } }, share)
    case 'down':
      return proxy.down()
    case 'bandwidth':
      return proxy.add({ type: kind, attributes: { rate: 300 + upTo(700) } }, share)
    case 'slow_close':
      return proxy.add({ type: kind, attributes: { delay: upTo(60) } }, share)
    case 'timeout':
      return proxy.add({ type: kind, attributes: { timeout: index % 2 === 0 ? 0 : 1 + upTo(60) } }, share)
    case 'reset_peer':
      return proxy.add({ type: kind, attributes: { timeout: upTo(20) } }, share)
    case 'slicer':
      return proxy.add(
        { type: kind, attributes: { average_size: 100 + upTo(400), size_variation: 50, delay: 20 } },
        share,
      )
    case 'limit_data':
      return proxy.add({ type: kind, attributes: { bytes: upTo(4000) } }, share)
  }
}

/** A connection to the lane's MLflow, whose faults the kind names. */
export const openTo = (
  lane: Lane,
  cell: Pick<Cell, 'kind' | 'index' | 'seed'>,
  log: (line: LogLine) => void = () => {},
  search?: Search,
): AnyConnection => {
  const { kind, index } = cell
  const renews = kind === 'expired' && index % 2 === 0
  const url =
    lane.toxic !== undefined && kind.startsWith('tcp ') ? `http://127.0.0.1:${lane.toxic.port}` : lane.faults.url
  const secret = canaryWord(cell.seed)
  search?.plant(secret, `the credential of ${cell.seed}`)
  return connectUnknown(
    renews ? renewable : mlflow,
    {
      name: 'tracking',
      config: { trackingUri: url },
      credentials: renews
        ? { scheme: 'renewing' }
        : index % 2 === 0
          ? { scheme: 'token', token: secret }
          : { scheme: 'basic', username: 'somebody', password: secret },
    },
    {
      clock: lane.clock,
      random: randomOf(cell.seed),
      policy: { attempts: 4, backoffMs: 100, maxBackoffMs, deadlineMs: 90_000 },
      // This limit runs on the machine's own clock.
      checkTimeoutMs: 10_000,
      log,
      ...(search !== undefined && {
        observe: (exchange) => search.saw('exchanges', exchange),
        observer: (event) => search.saw('events', event),
      }),
    },
  )
}

/** Ends in any case; what still runs then has hung. */
const within = async <T>(ms: number, work: Promise<T>): Promise<T | 'hung'> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'hung'>((resolve) => (timer = setTimeout(resolve, ms, 'hung')))
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
const hangAfterMs = 20_000

const settle = (work: Promise<Answer>): Promise<Outcome> =>
  work.then(
    (rows) => ({ rows }),
    (error: unknown) => ({ error }),
  )
const same = (one: Answer, other: Answer): boolean =>
  one.length === other.length && one.every((row, at) => row === other[at])

/** What an error must be: ours, naming the partner, what failed, and a next step. */
export const errorFaults = (error: unknown): readonly string[] => {
  if (!isIntegrationError(error)) return [`an error that is not ours: ${String(error)}`]
  const { message, code, partner } = error
  if (code === 'internal' || code === 'cancelled') return [`${code}: ${message}`]
  const complete = message.startsWith('tracking: ') && /\. [A-Z].{8,}/.test(message) && partner === 'tracking'
  return complete ? [] : [`an error without partner or next step: ${code} ${message}`]
}

/** The requests that changed something and reached the partner more often than once each. */
const doubled = (lane: Lane): readonly string[] => {
  const sent = lane.faults.seen
    // DELETE is idempotent (RFC 9110, 9.2.2).
    .filter(
      ({ method, path, forwarded }) => forwarded && ['POST', 'PATCH'].includes(method) && !path.endsWith('/search'),
    )
    .map(({ method, path }) => `${method} ${path}`)
  return sent.filter((one, at) => sent.indexOf(one) !== at).map((one) => `sent twice: ${one}`)
}

/** Requests that came again before the partner had asked them to. */
const impatient = (lane: Lane): readonly string[] =>
  lane.faults.seen.flatMap(({ notBefore, method, path, query }, at) => {
    if (notBefore === undefined) return []
    const next = lane.faults.seen
      .slice(at + 1)
      .find((one) => one.method === method && one.path === path && one.query === query)
    return next === undefined || next.at >= notBefore ? [] : [`${path} came ${notBefore - next.at} ms too early`]
  })

/** Waits that are longer than the longest that the partner has asked for, and a tenth. */
const tooPatient = (lane: Lane, lines: readonly LogLine[]): readonly string[] => {
  const asked = lane.faults.seen.flatMap(({ notBefore, at }) => (notBefore === undefined ? [] : [notBefore - at]))
  if (asked.length === 0) return []
  // Our own waits between repeats are at most the policy's.
  const most = Math.max(...asked, maxBackoffMs) * 1.1
  return lines.flatMap(({ waitMs = 0, event }) =>
    waitMs > most ? [`${event}: waits ${waitMs} ms where ${most} were asked for`] : [],
  )
}

/** Kinds that lose nothing and keep nobody from answering. */
const harmless = new Set<Kind>([
  'latency',
  'slow',
  'slowClose',
  'newField',
  'tcp latency',
  'tcp bandwidth',
  'tcp slow_close',
  'tcp slicer',
])
/** Kinds after which a call that may be repeated goes well. */
const passing = new Set<Kind>([...harmless, 'reset', 'resetMid', 'truncate', 'r429', 'r429date', 'r5xx'])

const judge = (cell: Cell, outcome: Outcome, clean: Answer | undefined): { outcome: string; faults: string[] } => {
  const { call, kind, index } = cell
  const schedule = schedules[index % schedules.length] ?? 'all'
  const lasting = schedule === 'all' || schedule === 'half'
  // A reply that is handed on as a stream has been begun when it breaks: it cannot be asked for again.
  const begun = call.name === 'artifacts.download' && (kind === 'resetMid' || kind === 'truncate')
  const changes = call.kind === 'write'
  const mustSucceed = harmless.has(kind) || (passing.has(kind) && call.repeatable && !lasting && !begun)
  const health =
    call.kind === 'check' && 'rows' in outcome
      ? (JSON.parse(outcome.rows[0] ?? '') as { status: string; code?: string; message?: string })
      : undefined
  if ('error' in outcome || (health !== undefined && health.status !== 'healthy')) {
    const code =
      'error' in outcome
        ? isIntegrationError(outcome.error)
          ? outcome.error.code
          : 'foreign'
        : (health?.code ?? 'none')
    const said = 'error' in outcome ? (outcome.error as Error).message : health?.message
    const faults = 'error' in outcome ? [...errorFaults(outcome.error)] : []
    if (health?.status === 'unhealthy' && !/^tracking: .+\. [A-Z].{8,}/.test(health.message ?? ''))
      faults.push(`a health without partner or next step: ${health.message}`)
    // What a plain 500 has done nobody knows: core/http repeats it for reads only.
    const plain = changes && kind === 'r5xx' && /was answered with 500\b/.test(said ?? '')
    if (mustSucceed && !plain) faults.push(`should have gone well: ${said}`)
    return { outcome: code, faults }
  }
  // A page that the partner gives twice is handed on twice; nothing is lost, and who merges by key has it once.
  const rows = kind === 'dupPage' ? [...new Set(outcome.rows)] : outcome.rows
  // Bytes whose length the partner understates cannot be told from a file of that length: MLflow sends no checksum.
  const untellable = call.name === 'artifacts.download' && kind === 'wrongLen'
  // Where only the end of the connection ends a file, nobody says its size beforehand; its bytes are compared all the same.
  const told = (answer: Answer): Answer =>
    kind === 'slowClose' && call.name === 'artifacts.download'
      ? answer.map((row) => row.replace(/"size":\d+,?/, ''))
      : answer
  const right = clean === undefined || untellable || same(told(rows), told(clean))
  return { outcome: 'right', faults: right ? [] : [`wrong rows: ${rows.length} for ${clean.length}`] }
}

/** Lets one fault fall on one call, and says what came of it. */
export const runCell = async (
  cell: Cell,
  lane: Lane,
  direct: Direct,
  clean: Answer | undefined,
  log: (line: LogLine) => void = () => {},
  search?: Search,
): Promise<Result> => {
  const { call, kind, index, seed } = cell
  const { faults: server, toxic } = lane
  const input = await call.prepare(direct, `cell-${seed}-${index}-${kind.replace(' ', '-')}-${call.name}`)
  const random = randomOf(seed)
  const tcp = kind.startsWith('tcp ')
  if (tcp && toxic !== undefined) {
    server.set()
    await poison(toxic, kind.slice(4) as TcpKind, index, random)
  } else
    server.set({
      kind: kind as HttpKind,
      seed,
      schedule: pick(() => (index % schedules.length) / schedules.length + 0.01, schedules),
    })
  const lines: LogLine[] = []
  const connection = openTo(
    lane,
    cell,
    (line) => {
      lines.push(line)
      search?.saw('log lines', line)
      log(line)
    },
    search,
  )
  const outcome = await within(hangAfterMs, settle(call.run(connection, input)))
  search?.saw('errors and answers', outcome)
  const closed = await within(hangAfterMs, connection.close())
  const faults: string[] = []
  if (closed === 'hung') faults.push('close hung')
  let told = 'hung'
  if (outcome === 'hung') faults.push(`hung: ${server.seen.length} requests`)
  else {
    const judged = judge(cell, outcome, clean)
    told = judged.outcome
    faults.push(...judged.faults)
    if (call.done !== undefined && 'rows' in outcome && !(await call.done(direct, input as never, outcome.rows)))
      faults.push('said to be done, and is not')
  }
  if (!call.repeatable) faults.push(...doubled(lane))
  faults.push(...impatient(lane), ...tooPatient(lane, lines))
  if (server.lured() > 0) faults.push('a request went to another host')
  const credentials = new Set(server.seen.map(({ authorization }) => authorization))
  if (kind === 'expired' && index % 2 === 0 && credentials.size > 2) faults.push('renewed more than once')
  const requests = server.seen.length
  if (tcp) await toxic?.clear()
  const waited = Date.now() + 5000
  while (server.sockets() > 0 && Date.now() < waited) await new Promise((resolve) => setImmediate(resolve))
  if (server.sockets() > 0) faults.push(`${server.sockets()} sockets are left open`)
  return { outcome: told, requests, waits: lines.filter(({ waitMs = 0 }) => waitMs > 0).length, faults }
}
