import { fromJson, integrationError, isIntegrationError, toJson, withRightKeys } from '@ecokit/contracts'
import type { AnyConnection, AnyRecord, Batch, InvalidRecord, Writer } from '@ecokit/contracts'
import { formOf, type Struct } from '@ecokit/json-scan'
import type { Store } from '@ecokit/store'
import type { Judge, Judged } from './judge.ts'
import type { PlannedStream } from './plan.ts'
import { qualityHistory, summaryOf, type QualityHistory, type RuleResult } from './quality-results.ts'
import { refuseAsking, rowRules, tableRules, type PlannedRule } from './quality-rules.ts'
import { linesOf, openSieve, readsPlainly, withoutLines } from './quality-sieve.ts'
import { judgeTable, whyNot, type Finding, type Query } from './quality-table.ts'
import { instantOf, openRule, type RowRule } from './quality-values.ts'
import type { PassMode, Pipeline } from './types.ts'

/** The rules of one stream during one pass. */
export interface Quality extends Judge {
  /** What they have said so far, also after a failure. */
  results(): readonly RuleResult[]
}

const keptExamples = 3

interface Counter {
  readonly planned: PlannedRule<RowRule>
  readonly judge: (value: unknown) => string | undefined
  failed: number
  readonly examples: string[]
}

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
  const counters = rowRules(rules).map((planned): Counter => ({
    planned,
    judge: openRule(planned.rule),
    failed: 0,
    examples: [],
  }))
  const watched = queryable
    ? []
    : asking.flatMap(({ name, rule }) => (rule.rule === 'freshness' ? [{ name, field: rule.field }] : []))
  const newest = new Map<string, bigint>()
  const sieve =
    options.form === undefined || watched.length > 0
      ? undefined
      : openSieve(options.form, rowRules(rules), options.engine)
  const found = new Map<PlannedRule, Finding>()
  let checked = 0

  /** Holds one record against every rule; gives why it is put aside, if it is. */
  const judgeOne = (record: AnyRecord): Omit<InvalidRecord, 'record'> | undefined => {
    let reason: Omit<InvalidRecord, 'record'> | undefined
    for (const counter of counters) {
      const { name, severity, rule } = counter.planned
      const why = counter.judge(Object.hasOwn(record, rule.field) ? record[rule.field] : undefined)
      if (why === undefined) continue
      counter.failed += 1
      if (counter.examples.length < keptExamples && !counter.examples.includes(why)) counter.examples.push(why)
      if (severity === 'quarantine') reason ??= { field: rule.field, reason: `${name}: ${why}` }
    }
    for (const { field } of watched) {
      const at = instantOf(record[field])
      if (at !== undefined && at > (newest.get(field) ?? at - 1n)) newest.set(field, at)
    }
    return reason
  }

  const judgeRecords = (batch: Extract<Batch<AnyRecord>, { readonly encoding: 'records' }>): Judged => {
    checked += batch.records.length
    const putAside: InvalidRecord[] = []
    const records = batch.records.filter((record) => {
      const reason = judgeOne(record)
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
  const judgeLine = (text: string, proven: boolean): Omit<InvalidRecord, 'record'> | undefined => {
    try {
      return judgeOne((proven && plainly ? withRightKeys(text, JSON.parse) : fromJson(text)) as AnyRecord)
    } catch (error) {
      if (error instanceof SyntaxError) return { field: '', reason: 'not JSON' }
      throw error
    }
  }
  const judgeLines = (batch: Extract<Batch<AnyRecord>, { readonly encoding: 'ndjson' | 'arrow' }>): Judged => {
    checked += batch.count
    const lines = batch.proven === true && sieve !== undefined ? sieve(batch.bytes) : everyLine(batch.bytes)
    const left = new Set<number>()
    const putAside: InvalidRecord[] = []
    for (const { index, text } of lines) {
      const reason = judgeLine(text, batch.proven === true)
      if (reason === undefined) continue
      left.add(index)
      putAside.push({ ...reason, record: text })
    }
    return { batch: left.size === 0 ? batch : withoutLines(batch, left), putAside }
  }

  const stopFor = ({ name, fields, rule: { rule } }: PlannedRule, finding: Finding) =>
    integrationError('invalid_data', {
      partner,
      what: `${stream}: the quality rule ${name} stops the stream: ${summaryOf({ rule, ...finding })}`,
      next: 'Look at the results of its quality rules, and mend the data at the source or give the rule another severity',
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
    for (const { planned, failed } of counters)
      if (planned.severity === 'stop' && failed > 0) throw stopFor(planned, { checked, failed, message: '' })
    return judged
  }

  const newestIn = async (name: string, field: string): Promise<number | undefined> => {
    const at = newest.get(field)
    const before = await options.newestBefore(name)
    const own = at === undefined ? undefined : Number(at / 1_000_000n)
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
        const { failed, examples } = counter
        return [{ ...about, passed: failed === 0, checked, failed, message: examples.join('; ') }]
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
