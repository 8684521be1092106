import { integrationError } from '@ecokit/contracts'
import type { AnyRecord, Batch, CallOptions, Checkpoint, OpenHttp, WriteOptions, Writer } from '@ecokit/contracts'
import { bodyOf, idempotencyKey, linesOf, requestsOf, type Line, type Position } from './body.ts'
import type { Config } from './config.ts'
import { refusalsIn, type Refusal } from './reply.ts'
import { sender } from './send.ts'

const contentTypes = { array: 'application/json', object: 'application/json', ndjson: 'application/x-ndjson' }

/**
 * `{table}` and fields of a record in a path, each encoded. What would name another place than the one meant (nothing at all, or `.` and `..`, which every URL takes for folders however
 * they are written) is given to `refuse`.
 */
const fill = (path: string, values: Readonly<Record<string, unknown>>, refuse: (name: string) => Error): string =>
  path.replace(/\{([^{}]+)\}/g, (_whole, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined
    const plain = typeof value === 'string' || typeof value === 'bigint' || typeof value === 'boolean'
    if (!plain && !(typeof value === 'number' && Number.isFinite(value))) throw refuse(name)
    const text = String(value)
    if (/^\.{0,2}$/.test(text) || !isWellFormed(text)) throw refuse(name)
    return encodeURIComponent(text)
  })
/** encodeURIComponent throws for half of a surrogate pair. In Node from 20; the ES2023 library does not have it. */
const isWellFormed = (text: string): boolean => (text as unknown as { isWellFormed(): boolean }).isWellFormed()
const fieldsIn = (path: string): readonly string[] =>
  [...path.matchAll(/\{([^{}]+)\}/g)].map(([, name]) => name ?? '').filter((name) => name !== 'table')

const wrongConfig = (partner: string, field: string, what: string, next: string) =>
  integrationError('invalid_config', {
    partner,
    what: `config.${field}: ${what}`,
    next,
    details: { field: `config.${field}` },
  })

/** Refuses what this endpoint, as it is described, could only do wrongly. */
const checkOptions = (config: Config, { table, disposition }: WriteOptions, partner: string): void => {
  if (disposition === 'append' && config.idempotencyHeader === undefined)
    throw wrongConfig(
      partner,
      'idempotencyHeader',
      'append needs an endpoint that takes idempotency keys, or a request that is sent again doubles its records',
      'Name the header if it does; use the sink upsert if it merges by primary key',
    )
  const strange = fieldsIn(config.path)
  if (strange.length > 0)
    throw wrongConfig(partner, 'path', `{${strange[0] ?? ''}} is not known here`, 'Only {table} may stand in it')
  const unknown = fieldsIn(config.delete?.path ?? '').find((field) => !(table.primaryKey ?? []).includes(field))
  if (unknown !== undefined)
    throw wrongConfig(
      partner,
      'delete.path',
      `{${unknown}} is not part of the primary key of ${table.name}`,
      `Use {table} and: ${(table.primaryKey ?? []).join(', ')}`,
    )
}

/** Which records an error's body names; none where it is about something else. */
const namedIn = (text: string, { errors }: Config, count: number, partner: string): readonly Refusal[] => {
  if (errors === undefined) return []
  try {
    return refusalsIn(text, errors, count, partner) ?? []
  } catch {
    return []
  }
}

/** A writer that sends every batch before it takes the next. What was sent is stored: there is nothing left to commit. */
export const openWriter = (
  config: Config,
  http: OpenHttp,
  partner: string,
  options: WriteOptions,
): Writer<AnyRecord> => {
  checkOptions(config, options, partner)
  const table = options.table.name
  const path = fill(config.path, { table }, () =>
    integrationError('invalid_input', {
      partner,
      what: `the table's name ${JSON.stringify(table)} cannot stand in a path`,
      next: 'Give the stream another table',
      details: { field: 'table.name' },
    }),
  )
  const missing = (name: string) =>
    integrationError('invalid_data', {
      partner,
      what: `${table}: a deleted record has no ${name} that can stand in config.delete.path, and nothing was sent for it`,
      next: 'Let keys be deleted in the body (a delete.path without {field}), or set deletes: ignore on the stream',
      details: { stream: table, field: name },
    })
  const send = sender(http, config, partner)
  const merges = options.disposition === 'merge'
  let disposed = false
  let checkpoint: Checkpoint | undefined
  let offset = 0
  // Only an append needs to be known again by the next run, and only a checkpoint says that it stands at the same place of the source. Elsewhere the same content may well be news:
  // a record that has come back to what it was before.
  const anchor = () => (merges || checkpoint === undefined ? { checkpoint, run: options.run } : { checkpoint })

  /** Sends some records, halves them where they are too many at once, and leaves out what the endpoint names as refused. */
  const deliver = async (
    method: string,
    path: string,
    lines: readonly Line[],
    place: Position,
    call: CallOptions,
  ): Promise<readonly Refusal[]> => {
    const body = bodyOf(lines, config)
    const name = config.idempotencyHeader
    const headers = {
      'content-type': config.contentType ?? contentTypes[config.format],
      ...(name !== undefined && { [name]: idempotencyKey(place, body) }),
    }
    const sent = await send({ method, path, headers, body, effect: 'write', idempotent: true }, call)
    const original = ({ index, reason }: Refusal): Refusal => ({ index: lines[index]?.index ?? index, reason })
    if (sent.taken) {
      if (config.errors === undefined) return []
      return (refusalsIn(sent.text, config.errors, lines.length, partner) ?? []).map(original)
    }
    if (sent.status === 413) {
      if (lines.length === 1)
        return [{ index: lines[0]?.index ?? 0, reason: 'the endpoint does not take a record of this size (413)' }]
      const half = Math.ceil(lines.length / 2)
      const second = { ...place, offset: place.offset + half }
      const first = await deliver(method, path, lines.slice(0, half), place, call)
      return [...first, ...(await deliver(method, path, lines.slice(half), second, call))]
    }
    const refused = namedIn(sent.text, config, lines.length, partner).map(original)
    // Refused as a whole because of some: the others go again. A list that names none says nothing.
    if (refused.length === 0) throw sent.error
    const named = new Set(refused.map(({ index }) => index))
    const rest = lines.filter(({ index }) => !named.has(index))
    return rest.length === 0 ? refused : [...refused, ...(await deliver(method, path, rest, place, call))]
  }

  const remove = async (deleted: NonNullable<Batch<AnyRecord>['deleted']>, call: CallOptions): Promise<void> => {
    const how = config.delete
    if (how === undefined)
      throw wrongConfig(
        partner,
        'delete',
        `is not set, and ${deleted.length} records of ${table} are to be deleted`,
        'Say how the endpoint deletes, or set deletes: ignore on the stream',
      )
    const request = { method: how.method, effect: 'write', idempotent: true } as const
    if (fieldsIn(how.path).length > 0) {
      for (const key of deleted) {
        const sent = await send({ ...request, path: fill(how.path, { ...key, table }, missing) }, call)
        // One that is not there is gone already.
        if (!sent.taken && sent.status !== 404 && sent.status !== 410) throw sent.error
      }
      return
    }
    const keys = linesOf({ encoding: 'records', records: deleted }, options.table.schema, [])
    for (const lines of requestsOf(keys, config)) {
      const place = {
        key: options.key,
        table,
        kind: 'deletes' as const,
        ...anchor(),
        offset: offset + (lines[0]?.index ?? 0),
      }
      const [refused] = await deliver(how.method, fill(how.path, { table }, missing), lines, place, call)
      if (refused !== undefined)
        throw integrationError('rejected', {
          partner,
          what: `${table}: a delete was refused: ${refused.reason}`,
          next: 'Look at the endpoint, or set deletes: ignore on the stream',
          details: {},
        })
    }
  }

  return {
    // The engine's own store keeps it: an endpoint has no place for it.
    resumesFrom: () => Promise.resolve(undefined),
    write: async (batch, call) => {
      const signal = call?.signal ?? options.signal
      signal?.throwIfAborted()
      if (disposed) throw integrationError('cancelled', { partner, what: 'the writer is closed', details: {} })
      if (batch.checkpoint !== undefined) {
        checkpoint = batch.checkpoint
        offset = 0
      }
      const rejected: { index: number; reason: string }[] = []
      const lines = linesOf(batch, options.table.schema, rejected)
      for (const request of requestsOf(lines, config)) {
        const place = {
          key: options.key,
          table,
          kind: 'records' as const,
          ...anchor(),
          offset: offset + (request[0]?.index ?? 0),
        }
        rejected.push(...(await deliver(config.method, path, request, place, { signal })))
      }
      if (batch.deleted !== undefined && batch.deleted.length > 0) await remove(batch.deleted, { signal })
      const count = batch.encoding === 'records' ? batch.records.length : batch.count
      offset += count
      return {
        rows: count - rejected.length,
        rejected: rejected.toSorted((one, other) => one.index - other.index),
      }
    },
    commit: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => {
      disposed = true
      return Promise.resolve()
    },
  }
}
