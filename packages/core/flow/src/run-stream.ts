import { integrationError, isIntegrationError, toIntegrationError, type IntegrationError } from '@ecokit/contracts'
import { hasPassed } from './clock.ts'
import type { Ledger, StreamPatch } from './ledger.ts'
import { describeJob, jobOf } from './lineage.ts'
import { storeEdges } from './lineage-columns.ts'
import type { LineageEvent } from './lineage-event.ts'
import type { LineageLog } from './lineage-log.ts'
import type { Meter } from './meter.ts'
import type { RunStream } from './plan-run.ts'
import { openStreamQuality, type Quality } from './quality.ts'
import { storeQuality, warningsOf } from './quality-results.ts'
import { syncStream } from './stream.ts'
import { noCounts, type Counts, type PassMode, type Progress, type SyncOptions } from './types.ts'

const progressMs = 250
const lineageMs = 10_000

/** What all streams of one run share. */
export interface Running {
  readonly id: string
  readonly options: SyncOptions
  readonly ledger: Ledger
  readonly controller: AbortController
  readonly fence: () => Promise<void>
  readonly log: LineageLog
  readonly warnings: string[]
  readonly now: () => number
  /** Counts the requests of one stream from now on. */
  readonly meter: () => Meter
}

/** Whoever watches must not stop the sync. */
export const callQuietly = (call: () => void): void => {
  try {
    call()
  } catch {
    return
  }
}

/** A source that does not know its own checkpoint: another version of it wrote that. */
const isForgotten = (error: unknown): error is IntegrationError<'invalid_input'> =>
  isIntegrationError(error, 'invalid_input') && error.details.field === 'checkpoint'

const startAnew = (
  { partner, details }: IntegrationError<'invalid_input'>,
  { stream, table }: RunStream,
): IntegrationError =>
  integrationError('invalid_input', {
    partner,
    what: `${stream}: its source no longer knows the checkpoint, and to append everything again would double rows`,
    next: `Give the stream another table than ${table}, which is then filled from the beginning`,
    details,
  })

/** Runs one stream and writes its account; gives the error that ended it, if one did. */
export const runStream = async (planned: RunStream, running: Running): Promise<IntegrationError | undefined> => {
  const { options, ledger, controller, fence, log, now, id, warnings, meter } = running
  const { pipeline, onProgress, full = false, commitBytes } = options
  const { stream } = planned
  const job = jobOf(planned, id, options)
  const requests = meter()
  let mode: PassMode = planned.window === undefined ? planned.mode : 'backfill'
  let committed: Counts = noCounts
  let savedAt = now()
  let tracedAt: number | undefined
  let saving: Promise<void> | undefined
  let quality: Quality | undefined

  const tell = (status: Progress['status'], counts: Counts): void => {
    callQuietly(() =>
      onProgress?.({
        ...{ run: id, pipeline: pipeline.name, stream, status, mode, requests: requests() },
        ...counts,
        ...ledger.outlook(stream, status, counts.read),
      }),
    )
  }
  const trace = (type: LineageEvent['eventType'], about: { counts?: Counts; error?: string } = {}): void => {
    // A stream that the contract leaves out moves no data.
    if (planned.skipped) return
    const at = now()
    tracedAt = at
    const results = type === 'RUNNING' ? undefined : quality?.results()
    log.emit(describeJob(job, { type, at, ...about, quality: results }))
  }
  const finish = async (status: Progress['status'], error?: IntegrationError): Promise<void> => {
    await saving
    if (quality !== undefined) {
      const results = quality.results()
      warnings.push(...warningsOf(stream, results))
      await storeQuality(options.store, { run: id, pipeline: pipeline.name, stream, at: now() }, results)
    }
    const patch: StreamPatch = { status, ...committed, requests: requests(), ended_at: now() }
    await ledger.stream(stream, {
      ...patch,
      ...(error && { error_code: error.code, error_message: error.message }),
    })
    tell(status, committed)
  }

  try {
    controller.signal.throwIfAborted()
    if (planned.halted !== undefined) throw planned.halted
    await ledger.stream(stream, { status: 'running', started_at: now() })
    trace('START')
    tell('running', noCounts)
    const copy = (everything: boolean): Promise<void> =>
      syncStream(planned, {
        run: id,
        pipeline,
        full: everything,
        ledger,
        signal: controller.signal,
        now,
        commitBytes,
        fence,
        requests,
        warn: (sentence) => warnings.push(sentence),
        onPass: async (pass) => {
          mode = pass.mode
          await planned.agree()
          await ledger.pass(stream, pass)
        },
        onBatch: (counts) => {
          if (!hasPassed(savedAt, now(), progressMs)) return
          savedAt = now()
          tell('running', counts)
          // What is shown may be late where the store is slow: the sync does not wait for it, and does not end with it.
          saving ??= ledger
            .stream(stream, { ...counts, requests: requests() })
            .catch(() => undefined)
            .finally(() => {
              saving = undefined
            })
        },
        onCommit: (counts) => {
          committed = counts
          if (hasPassed(tracedAt ?? 0, now(), lineageMs)) trace('RUNNING', { counts })
        },
        openJudge: (_planned, pass, writer) => {
          quality = openStreamQuality(planned, {
            store: options.store,
            run: id,
            pipeline,
            mode: pass.mode,
            writer,
            now,
          })
          return quality
        },
      })
    if (!planned.skipped)
      await copy(full).catch(async (error: unknown) => {
        if (!isForgotten(error) || full || committed !== noCounts) throw error
        if (planned.disposition !== 'merge') throw startAnew(error, planned)
        warnings.push(`${stream}: its source no longer knows the checkpoint, so that everything was read again`)
        await copy(true)
      })
    trace('COMPLETE', { counts: committed })
    if (!planned.skipped) log.also('lineage by column was not stored', () => storeEdges(options.store, job, now()))
    await finish('completed')
    return undefined
  } catch (thrown) {
    const cancelled = controller.signal.aborted
    const error = toIntegrationError(cancelled ? controller.signal.reason : thrown)
    const status = cancelled && error.code === 'cancelled' ? 'cancelled' : 'failed'
    if (tracedAt !== undefined)
      trace(status === 'cancelled' ? 'ABORT' : 'FAIL', { counts: committed, error: error.message })
    await finish(status, error)
    return error
  } finally {
    requests.end()
  }
}
