import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { connect, mlflow } from '../../../packages/connectors/mlflow/src/index.ts'
import {
  runPython,
  startMlflow,
  startToxiproxy,
  trainScript,
  type Toxiproxy,
  type ToxicProxy,
} from '../../peers/index.ts'
import { startFaults, type Faults, type Incoming } from '../index.ts'

/** Time that runs many times as fast, the same for the client and for the server that says `Retry-After`. */
export interface LaneClock {
  readonly now: () => number
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>
  readonly after: (ms: number, work: () => void) => () => void
}
const faster = 20
export const laneClock = (): LaneClock => {
  const start = Date.now()
  // Rounded up, so that no wait is shorter than was asked for.
  const real = (ms: number): number => Math.ceil(ms / faster) + 1
  return {
    now: () => start + (Date.now() - start) * faster,
    sleep: (ms, signal) => wait(real(ms), undefined, signal === undefined ? {} : { signal }),
    after: (ms, work) => {
      const timer = setTimeout(work, real(ms))
      return () => clearTimeout(timer)
    },
  }
}

/** What one cell at a time goes through: its own fault server before the one MLflow, and its own Toxiproxy listener before that. */
export interface Lane {
  readonly faults: Faults
  readonly toxic: ToxicProxy | undefined
  readonly clock: LaneClock
}

const pageSize = 3
/** Asks for few records a page, as a server may that caps it: so a little data has many pages. */
const smallPages = (request: Incoming): Incoming => {
  const url = new URL(request.url, 'http://here')
  if (Number(url.searchParams.get('max_results') ?? 0) > pageSize) url.searchParams.set('max_results', String(pageSize))
  const changed = { ...request, url: url.pathname + url.search }
  if (request.body.length === 0 || request.headers['content-type']?.includes('json') !== true) return changed
  const body = JSON.parse(request.body.toString()) as { max_results?: number }
  if ((body.max_results ?? 0) <= pageSize) return changed
  return { ...changed, body: Buffer.from(JSON.stringify({ ...body, max_results: pageSize })) }
}

export interface World {
  readonly url: string
  readonly lanes: readonly Lane[]
  stop(): Promise<void>
}
/** A real MLflow with trained runs, and so many lanes to it. */
export const openWorld = async (lanes: number, seed: number, tcp: boolean): Promise<World> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-faults-'))
  const server = await startMlflow({ folder })
  await runPython(trainScript, ['--url', server.url, '--runs', '7', '--open', '1'])
  const toxiproxy: Toxiproxy | undefined = tcp ? await startToxiproxy({ seed }) : undefined
  const open = async (): Promise<Lane> => {
    const clock = laneClock()
    const faults = await startFaults({ upstream: server.url, now: clock.now, rewrite: smallPages })
    return { faults, toxic: await toxiproxy?.proxy(new URL(faults.url).host), clock }
  }
  const opened = await Promise.all(Array.from({ length: lanes }, open))
  return {
    url: server.url,
    lanes: opened,
    stop: async () => {
      await Promise.all(opened.map(({ faults }) => faults.stop()))
      await toxiproxy?.stop()
      await server.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A connection past all faults, for the truth and for what a cell needs. */
export const openDirect = (url: string) =>
  connect(mlflow, { name: 'direct', config: { trackingUri: url }, credentials: { scheme: 'none' } })
export type Direct = ReturnType<typeof openDirect>
