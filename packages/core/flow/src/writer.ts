import { integrationError, type AnyRecord, type IntegrationError, type Writer } from '@ecokit/contracts'
import type { PlannedStream } from './plan.ts'
import { isDamaged } from './seal.ts'
import { decidePass, readState, stateKey, type FlowState } from './state.ts'
import type { StreamRunner } from './stream.ts'

export type AnyWriter = Writer<AnyRecord>

/** For a writer whose work failed already: how it ends is no news. */
export const quietly = async (writer: AnyWriter): Promise<void> => {
  try {
    await writer[Symbol.asyncDispose]()
  } catch {
    return
  }
}

export const broken = (partner: string, what: string): IntegrationError =>
  integrationError('internal', { partner, what, next: 'Report it to the maker of the connector', details: {} })

/** The state to go on from. One that another source left behind would hide everything that is older than its checkpoint. */
const sameOrigin = (
  { pipeline: { name, origin, source }, full }: StreamRunner,
  { stream, mode, table, window }: PlannedStream,
  found: FlowState | undefined,
): FlowState | undefined => {
  if (found?.origin === undefined || origin === undefined || found.origin === origin) return found
  if (window === undefined && !full && mode !== 'full_refresh')
    throw integrationError('invalid_config', {
      partner: source.name,
      what: `the checkpoint of ${name}/${stream} was made on ${found.origin}, and the source is now ${origin}`,
      next: `Run it once with --full, which reads everything from the new source and removes from table ${table} what it does not have, or give the stream another table or the pipeline another name`,
      details: { field: `pipelines.${name}.source` },
    })
  return undefined
}

/** Opens the sink's writer and decides from what it has kept how the stream is read this time. */
export const openWriter = async (planned: PlannedStream, runner: StreamRunner) => {
  const { pipeline, run, ledger, full, now, signal } = runner
  const { sink, sinkName, reconcileEveryMs } = pipeline
  const { target: table, disposition, deletes } = planned
  const key = stateKey(pipeline.name, planned.stream, planned.window)
  const open = async (prune: boolean): Promise<AnyWriter> => {
    if (sink.write === undefined) throw broken(sink.name, 'it has no sinks to write to')
    return sink.write(sinkName, {
      table,
      disposition,
      run,
      key,
      signal,
      ...(prune && { prune }),
      ...(deletes === 'soft' && { deletes }),
    })
  }
  const writer = await open(false)
  try {
    const transactional = sink.manifest.sinks?.[sinkName]?.commit === 'transaction'
    const noted = readState(
      await ledger.state(key).catch((error: unknown) => {
        // Where the sink keeps the truth, or nothing is gone on from, ours is for display.
        if (isDamaged(error) && (transactional || full || planned.mode === 'full_refresh')) return undefined
        throw error
      }),
      planned.table,
    )
    const found = transactional ? readState(await writer.resumesFrom({ signal }), planned.table) : noted
    if (found !== undefined && (found.run !== noted?.run || found.counts.read !== noted.counts.read))
      await ledger.correct(planned.stream, found)
    const before = sameOrigin(runner, planned, found)
    const pass = decidePass(planned, before, { full, now: now(), reconcileEveryMs, noted })
    const everything = disposition === 'merge' && (pass.mode === 'full_refresh' || pass.mode === 'reconcile')
    if (everything && !pass.prune && planned.wanted.deletes !== 'ignore')
      runner.warn(`${planned.stream}: rows that the source no longer has stay: ${sink.name} cannot find them`)
    if (!pass.prune) return { key, writer, pass, open }
    // Only the sink knows where the stream stands, and a writer must know from its beginning that it prunes.
    await writer[Symbol.asyncDispose]()
    return { key, writer: await open(true), pass, open }
  } catch (error) {
    await quietly(writer)
    throw error
  }
}
