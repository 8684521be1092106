import { fromJson, integrationError, isIntegrationError, toJson, withRightKeys } from '@ecokit/contracts'
import type { AnyConnection, AnyRecord, Batch, InvalidRecord, Writer } from '@ecokit/contracts'
import { formOf, type Struct } from '@ecokit/json-scan'
import type { Store } from '@ecokit/store'
import type { Judge, Judged } from './judge.ts'
import type { PlannedStream } from './plan.ts'
import { batchBytes } from './pump.ts'
import { qualityHistory, summaryOf, type QualityHistory, type RuleResult } from './quality-results.ts'
import { refuseAsking, rowRules, tableRules, type PlannedRule } from './quality-rules.ts'
import { patienceFor, withinTime } from './quality-patterns.ts'
import { messageOf, openRows, type JudgeRows } from './quality-rows.ts'
import { linesOf, openSieve, readsPlainly, withoutLines } from './quality-sieve.ts'
import { judgeTable, whyNot, type Finding, type Query } from './quality-table.ts'
import { timeOf } from './quality-values.ts'
import type { PassMode, Pipeline } from './types.ts'

/** The rules of one stream during one pass. */
export interface Quality extends Judge {
  /** What they have said so far, also after a failure. */
  results(): readonly RuleResult[]
}

type NdjsonBatch = Extract<Batch<AnyRecord>, { readonly encoding: 'ndjson' | 'arrow' }>
interface Line {
  readonly index: number
  readonly text: string
}
/** How many lines are read at a time. */
const linesAtOnce = 1_000

/** What the rules need to know of the pass. */
export interface QualityOptions extends QualityHistory {
  readonly rules: readonly PlannedRule[]
  readonly partner: string
  readonly stream: string
  /** The form by which the records were proved; absent: batches are never proven. */
  readonly form?: Struct | undefined
  readonly engine?: 'wasm' | 'javascript'
  readonly queryable: boolean
  readonly soft: boolean
  readonly mode: PassMode
  readonly now: () => number
}

/** Opens the rules of a stream; throws `unsupported` before anything is read where a rule has to ask a sink that cannot be asked. */
export const openQuality = (options: QualityOptions): Quality => {
  const { rules, partner, stream, queryable, now } = options
  const asking = tableRules(rules).filter(({ rule }) => options.mode !== 'backfill' || rule.rule !== 'row_count')
  if (!queryable) refuseAsking(rules, partner, stream)
  const { counters, begin } = openRows(rowRules(rules))
  const hasPatterns = counters.some(({ planned }) => planned.rule.rule === 'regex')
  const watched = queryable
    ? []
    : asking.flatMap(({ name, rule }) => (rule.rule === 'freshness' ? [{ name, field: rule.field }] : []))
  const newest = new Map<string, number>()
  let sieve =
    options.form === undefined || watched.length > 0
      ? undefined
      : openSieve(options.form, rowRules(rules), options.engine)
  const found = new Map<PlannedRule, Finding>()
  let checked = 0

  /** Holds records against every rule; gives why each is put aside, if it is. */
  const judgeAll = (records: readonly AnyRecord[], judge: JudgeRows): ReturnType<JudgeRows> => {
    for (const { field } of watched)
      for (const record of records) {
        const at = timeOf(record[field])
        if (at !== undefined && at > (newest.get(field) ?? -Infinity)) newest.set(field, at)
      }
    return judge(records)
  }

  const judgeRecords = (batch: Extract<Batch<AnyRecord>, { readonly encoding: 'records' }>): Judged => {
    checked += batch.records.length
    const reasons = judgeAll(batch.records, begin(batchBytes(batch)))
    const putAside: InvalidRecord[] = []
    const records = batch.records.filter((record, at) => {
      const reason = reasons[at]
      // Its text, because an object may be changed by whoever made it.
      if (reason !== undefined) putAside.push({ ...reason, record: toJson(record) })
      return reason === undefined
    })
    return { batch: putAside.length === 0 ? batch : { ...batch, records }, putAside }
  }

  const everyLine = function* (bytes: Uint8Array) {
    let index = 0
    for (const [start, end] of linesOf(bytes)) {
      yield {
        index,
        text: Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start)
          .toString('utf8')
          .trim(),
      }
      index += 1
    }
  }
  const { form } = options
  const plainly =
    form !== undefined &&
    readsPlainly(form, [...counters.map(({ planned }) => planned.rule.field), ...watched.map(({ field }) => field)])
  const readLine = (text: string, proven: boolean): AnyRecord | undefined => {
    try {
      return (proven && plainly ? withRightKeys(text, JSON.parse) : fromJson(text)) as AnyRecord
    } catch (error) {
      if (error instanceof SyntaxError) return undefined
      throw error
    }
  }
  /** The lines of a batch that may break a rule. */
  const doubtful = ({ bytes, proven }: NdjsonBatch): Iterable<Line> => {
    if (proven !== true || sieve === undefined) return everyLine(bytes)
    const sift = sieve
    if (!hasPatterns) return sift(bytes)
    const found = withinTime(patienceFor(bytes.length), () => sift(bytes))
    // One that was cut off in the middle of its work is of no use any more.
    if (found === undefined) sieve = undefined
    return found?.value ?? everyLine(bytes)
  }
  const judgeLines = (batch: NdjsonBatch): Judged => {
    checked += batch.count
    const left = new Set<number>()
    const putAside: InvalidRecord[] = []
    const judgeRows = begin(batch.bytes.length)
    const judgeSome = (lines: readonly Line[]): void => {
      const read = lines.map(({ text }) => readLine(text, batch.proven === true))
      const reasons = judgeAll(
        read.filter((record) => record !== undefined),
        judgeRows,
      ).values()
      for (const [at, { index, text }] of lines.entries()) {
        const reason = read[at] === undefined ? { field: '', reason: 'not JSON' } : reasons.next().value
        if (reason === undefined) continue
        left.add(index)
        putAside.push({ ...reason, record: text })
      }
    }
    let waiting: Line[] = []
    for (const line of doubtful(batch)) {
      if (waiting.push(line) < linesAtOnce) continue
      judgeSome(waiting)
      waiting = []
    }
    judgeSome(waiting)
    return { batch: left.size === 0 ? batch : withoutLines(batch, left), putAside }
  }

  const stopFor = ({ name, fields, rule: { rule } }: PlannedRule, finding: Finding, slow?: string) =>
    integrationError('invalid_data', {
      partner,
      what: `${stream}: the quality rule ${name} stops the stream: ${slow ?? summaryOf({ rule, ...finding })}`,
      next:
        slow === undefined
          ? 'Look at the results of its quality rules, and mend the data at the source or give the rule another severity'
          : 'Mend the pattern, or leave the rule out',
      details: { stream, field: fields.join(',') },
    })

  const judge = (batch: Batch<AnyRecord>): Judged => {
    if (counters.length === 0 && watched.length === 0) return { batch, putAside: [] }
    if (batch.encoding === 'arrow')
      throw integrationError('unsupported', {
        partner,
        what: `${stream}: quality rules about records cannot be judged over Arrow`,
        next: 'Leave out the rules not_null, range, set and regex, and use sql',
        details: { what: 'quality rules over arrow' },
      })
    const judged = batch.encoding === 'records' ? judgeRecords(batch) : judgeLines(batch)
    for (const { planned, failed, slow } of counters)
      if (planned.severity === 'stop' && failed > 0) throw stopFor(planned, { checked, failed, message: '' }, slow)
    return judged
  }

  const newestIn = async (name: string, field: string): Promise<number | undefined> => {
    const own = newest.get(field)
    const before = await options.newestBefore(name)
    return own === undefined || (before !== undefined && before > own) ? before : own
  }

  const finish: Judge['finish'] = async (writer: Writer<AnyRecord>, { counts, complete, signal }) => {
    if (!complete) return
    const query: Query | undefined = writer.query && ((sql) => writer.query?.(sql, { signal }) ?? Promise.resolve([]))
    const times = new Map<string, number>()
    for (const { name, field } of watched) {
      const at = await newestIn(name, field)
      if (at !== undefined) times.set(field, at)
    }
    const about = { query, soft: options.soft, now: now(), read: counts.read, earlier: options.earlier }
    for (const planned of asking) {
      signal.throwIfAborted()
      let finding: Finding
      try {
        finding = await judgeTable(planned, { ...about, newest: (field) => times.get(field) })
      } catch (error) {
        if (signal.aborted || isIntegrationError(error, 'cancelled')) throw error
        finding = { checked: 0, failed: 1, message: `could not be judged: ${whyNot(error)}` }
      }
      found.set(planned, finding)
      if (finding.failed > 0 && planned.severity === 'stop') throw stopFor(planned, finding)
    }
  }

  const results = (): readonly RuleResult[] =>
    rules.flatMap((planned): RuleResult[] => {
      const { name, severity, fields, rule } = planned
      const about = { name, rule: rule.rule, field: fields.join(','), severity }
      const counter = counters.find((one) => one.planned === planned)
      if (counter !== undefined) {
        const { failed } = counter
        return [{ ...about, passed: failed === 0, checked, failed, message: messageOf(counter) }]
      }
      const finding = found.get(planned)
      return finding === undefined ? [] : [{ ...about, passed: finding.failed === 0, ...finding }]
    })

  return { judge, finish, results }
}

/** The form by which the source's own records were proved, as far as they are read. */
const provenForm = ({ stream, mapping }: PlannedStream, source: AnyConnection): Struct | undefined => {
  const streams = source.manifest.streams ?? {}
  const declared = Object.hasOwn(streams, stream) ? streams[stream] : undefined
  const formed = declared && formOf(declared.schema)
  if (formed === undefined || !('form' in formed) || formed.form.kind !== 'struct') return undefined
  const { columns } = mapping
  const { fields } = formed.form
  return {
    ...formed.form,
    fields: columns === undefined ? fields : fields.filter(({ name }) => columns.includes(name)),
  }
}

/** Opens the rules of a planned stream; undefined: it has none. */
export const openStreamQuality = (
  planned: PlannedStream,
  about: {
    readonly store: Store
    readonly run: string
    readonly pipeline: Pipeline
    readonly mode: PassMode
    readonly writer: Writer<AnyRecord>
    readonly now: () => number
  },
): Quality | undefined => {
  const { rules, stream, deletes } = planned
  const { store, run, pipeline, mode, writer, now } = about
  if (rules.length === 0) return undefined
  return openQuality({
    rules,
    partner: pipeline.source.name,
    stream,
    form: provenForm(planned, pipeline.source),
    queryable: writer.query !== undefined,
    soft: deletes === 'soft',
    mode,
    now,
    ...qualityHistory(store, { run, pipeline: pipeline.name, stream, mode }),
  })
}
