import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { decide } from '@ecokit/json-scan'
import { openStore } from '@ecokit/store'
import { fromJson, type AnyConnection, type AnyRecord } from '@ecokit/contracts'
import type { Postgres } from '../../../../../tools/peers/index.ts'
import { listQuarantine, sync } from '../../src/index.ts'
import { openLanes, type Lane } from './lanes.ts'
import { openOracle, type SinkKind } from './oracle.ts'
import { openRecords } from './records.ts'
import { isOfSink, sinkRefusal } from './refusals.ts'
import { schemaOf, type RoundSchema } from './schemas.ts'
import { openSource, roads, type Road } from './source.ts'
import { randomOf } from '../kill/torture.ts'

/** What the rounds counted. */
export interface Tally {
  records: number
  leftOut: number
  refused: number
  readonly reasons: Record<string, number>
  readonly profiles: Record<string, number>
  /** Rows that were compared, by sink and road. */
  readonly compared: Record<string, number>
  /** Records that a sink refused, which it says it cannot hold. */
  readonly refusedBySink: Record<string, number>
  deduplicated: number
  readonly seconds: Record<string, number>
}
export const newTally = (): Tally => ({
  records: 0,
  leftOut: 0,
  refused: 0,
  reasons: {},
  profiles: {},
  compared: {},
  refusedBySink: {},
  deduplicated: 0,
  seconds: {},
})
const add = (into: Record<string, number>, name: string, count: number): void => {
  into[name] = (into[name] ?? 0) + count
}

/** A reason without what it says of one value. */
const classOf = (reason: string): string =>
  reason.startsWith('expected one of') ? 'expected one of' : reason.replaceAll(/-?\d+(?:\.\d+)?/g, 'N')
const asideOf = (field: string, reason: string, record: string): string => `${field}\n${reason}\n${record}`

interface Judged {
  /** The row of the lossless road, and the text of its key. */
  readonly row: string
  readonly key: string
}
/** What is to become of the records, said by the lossless road alone. */
const judge = ({ form }: RoundSchema, records: readonly Buffer[], tally: Tally) => {
  const rows: Judged[] = []
  const aside: string[] = []
  for (const record of records) {
    const verdict = decide(form, record)
    if ('row' in verdict) {
      const { row } = verdict
      rows.push({ row, key: row.slice(5, row.indexOf(row.includes(',') ? ',' : '}')) })
      continue
    }
    // What is put aside is the record as it came, without the white space around it.
    aside.push(
      asideOf(verdict.field, verdict.reason, record.toString('utf8').replaceAll(/^[ \t\r\n]+|[ \t\r\n]+$/g, '')),
    )
    add(tally.reasons, classOf(verdict.reason), 1)
  }
  tally.refused += aside.length
  return { rows, aside: aside.toSorted() }
}

/** What a sink has to hold, and what it has to refuse. */
const expectedOf = ({ form }: RoundSchema, lane: Lane, rows: readonly Judged[], texts: Texts) => {
  const taken: number[] = []
  const refused: string[] = []
  for (const [at, { row }] of rows.entries()) {
    const why = sinkRefusal(form, lane.kind, row)
    if (why === undefined) taken.push(at)
    else refused.push(asideOf('', why, texts.aside[at] ?? ''))
  }
  const last = new Map(taken.map((at) => [rows[at]?.key, at]))
  const kept = lane.disposition === 'merge' ? [...last.values()] : taken
  const own = texts[lane.kind]
  return { taken: taken.length, held: kept.map((at) => own[at] ?? '').toSorted(), refused: refused.toSorted() }
}
type Texts = Readonly<Record<SinkKind, readonly string[]>>

/** What one list has more than the other, of the first of each; undefined where both hold the same. */
const difference = (found: readonly string[], wanted: readonly string[]): object | undefined => {
  if (found.length === wanted.length && found.every((one, at) => one === wanted[at])) return undefined
  const left = new Map<string, number>()
  for (const one of wanted) left.set(one, (left.get(one) ?? 0) + 1)
  const more = found.filter((one) => {
    const count = left.get(one) ?? 0
    left.set(one, count - 1)
    return count <= 0
  })
  const lacking = [...left].filter(([, count]) => count > 0).map(([one]) => one)
  return { found: found.length, wanted: wanted.length, more: more.slice(0, 3), lacking: lacking.slice(0, 3) }
}

/** How the first records of a stream come. */
const encodingOf = async (source: AnyConnection, stream: string): Promise<string> => {
  for await (const batch of source.read?.(stream, { onInvalid: () => undefined }) ?? [])
    if (batch.encoding !== 'records' || batch.records.length > 0)
      return `${'proven' in batch && batch.proven ? 'proven ' : ''}${batch.encoding}`
  return 'none'
}

const since = (tally: Tally, what: string, begun: number): void =>
  add(tally.seconds, what, (performance.now() - begun) / 1000)

/** Brings records of one schema over both roads into every sink, and holds what they all have against the lossless road. Gives what is not as it has to be. */
export const runRound = async (
  round: number,
  count: number,
  seed: number,
  running: Postgres | undefined,
  tally: Tally,
): Promise<readonly object[]> => {
  const random = randomOf(seed, round)
  const schema = schemaOf(round, seed, random)
  const begun = performance.now()
  const { records, leftOut } = openRecords(schema, random).take(count)
  since(tally, 'generate', begun)
  const judging = performance.now()
  const { rows, aside } = judge(schema, records, tally)
  tally.records += records.length
  tally.leftOut += leftOut
  add(tally.profiles, schema.profile, records.length)
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-sinks-'))
  const store = await openStore(path.join(folder, 'state.db'))
  const { source, close } = await openSource(
    { bytes: { schema: schema.proven }, objects: { schema: schema.coded } },
    records,
  )
  const lanes = await openLanes(folder, round, running)
  const oracleOf = (kind: SinkKind) => openOracle(schema.form, kind)
  const oracles = {
    local: oracleOf('local'),
    postgres: oracleOf('postgres'),
    endpoint: oracleOf('endpoint'),
    aside: oracleOf('aside'),
  }
  const textsOf = (kind: SinkKind): readonly string[] => rows.map(({ row }) => oracles[kind].wanted(row))
  const texts: Texts = {
    local: textsOf('local'),
    postgres: textsOf('postgres'),
    endpoint: textsOf('endpoint'),
    aside: textsOf('aside'),
  }
  since(tally, 'judge', judging)
  const wrong: object[] = []
  const expectations = new Map<Lane, ReturnType<typeof expectedOf>>()
  const note = (what: string, found: string[], wanted: readonly string[]): void => {
    const how = difference(found.toSorted(), wanted)
    if (how !== undefined) wrong.push({ what, ...how })
  }
  const bring = async (road: Road, lane: Lane): Promise<void> => {
    const { name, sink, sinkName, disposition, kind } = lane
    const expected = expectations.get(lane) ?? expectedOf(schema, lane, rows, texts)
    expectations.set(lane, expected)
    const what = `round ${round} (ECOKIT_SEED=${seed}), ${schema.profile} [${schema.types.join(' ')}], ${road} into ${name} by ${disposition}`
    const streams = [
      { stream: road, mode: 'full_refresh', disposition, ...(lane.loose === true && { allowDuplicates: true }) },
    ] as const
    const result = await sync({ pipeline: { name: `${name}-${road}`, source, sink, sinkName, streams }, store })
    const [done] = result.streams
    if (result.status !== 'completed') {
      wrong.push({ what, status: result.status, error: done?.error })
      return
    }
    const { read = 0, written = 0, quarantined = 0, deduplicated = 0 } = done ?? {}
    const account = { read, sum: written + quarantined + deduplicated, stored: written + deduplicated }
    if (account.read !== records.length || account.sum !== read || account.stored !== expected.taken)
      wrong.push({ what, account, wanted: { read: records.length, stored: expected.taken } })
    tally.deduplicated += deduplicated
    const found = await listQuarantine(store, { run: result.id, limit: records.length + 1 })
    const bySource = found.filter(({ reason }) => !isOfSink(reason))
    note(
      `${what}: put aside`,
      bySource.map(({ field, reason, record }) => asideOf(field, reason, record)),
      aside,
    )
    const bySink = found.filter(({ reason }) => isOfSink(reason))
    note(
      `${what}: refused by the sink`,
      bySink.map(({ field, reason, record }) =>
        asideOf(field, reason, oracles.aside.given(fromJson(record) as AnyRecord)),
      ),
      expected.refused,
    )
    const held: string[] = []
    const { given } = oracles[kind]
    for await (const batch of lane.rows(road)) for (const row of batch) held.push(given(row))
    note(`${what}: rows`, held, expected.held)
    add(tally.compared, `${name} ${road}`, held.length)
  }
  try {
    for (const road of roads) {
      const encoding = await encodingOf(source, road)
      if (encoding !== (road === 'bytes' ? 'proven ndjson' : 'records')) wrong.push({ round, road, encoding })
    }
    for (const lane of lanes) {
      const bringing = performance.now()
      // Side by side: what one waits for, the other does.
      await Promise.all(roads.map((road) => bring(road, lane)))
      add(tally.refusedBySink, lane.name, expectations.get(lane)?.refused.length ?? 0)
      since(tally, lane.name, bringing)
    }
    return wrong
  } finally {
    for (const lane of lanes) await lane.close()
    await close()
    await store.close()
    await rm(folder, { recursive: true, force: true })
  }
}
