import { toJson } from '@ecokit/contracts'
import { catalogOf } from '@ecokit/server/ecosystem'
import type { StreamView } from '@ecokit/server/ecosystem'
import { withRuntime } from '../open.ts'
import { table, whole } from '../output/table.ts'
import type { Terminal } from '../output/terminal.ts'
import { visible } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { UsageError, exits } from '../usage.ts'

type Json = Readonly<Record<string, unknown>>
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A type in the JSON Schema's own words, with null left out of a choice. */
const typeOf = (schema: unknown): string => {
  if (!isObject(schema)) return 'any'
  const { type, format, anyOf } = schema
  if (Array.isArray(anyOf)) return [...new Set(anyOf.map(typeOf))].filter((name) => name !== 'null').join(' or ')
  const names = (Array.isArray(type) ? type : [type]).filter((one) => typeof one === 'string' && one !== 'null')
  const name = names.length === 0 ? 'any' : names.join(' or ')
  return typeof format === 'string' ? `${name} (${format})` : name
}
const mayBeNull = (schema: unknown): boolean =>
  (isObject(schema) && (Array.isArray(schema['type']) ? schema['type'].includes('null') : schema['type'] === 'null')) ||
  (isObject(schema) && Array.isArray(schema['anyOf']) && schema['anyOf'].some(mayBeNull))

const fieldsOf = ({ schema, primaryKey = [], cursor }: StreamView) =>
  Object.entries(isObject(schema['properties']) ? schema['properties'] : {}).map(([name, field]) => ({
    name,
    type: typeOf(field),
    role: [primaryKey.includes(name) ? 'key' : '', name === cursor ? 'cursor' : ''].filter(Boolean).join(', '),
    empty: mayBeNull(field),
    about: isObject(field) && typeof field['description'] === 'string' ? field['description'] : '',
  }))

const listing = (streams: readonly StreamView[], terminal: Terminal): string =>
  table(
    [
      { title: 'STREAM', cell: ({ name }) => name, least: 24 },
      { title: 'KEY', cell: ({ primaryKey }) => primaryKey?.join(', '), least: 16 },
      { title: 'CURSOR', cell: ({ cursor }) => cursor, least: 16 },
      { title: 'MODES', cell: ({ modes }) => modes.join(', '), least: whole, spare: true },
      { title: 'FIELDS', cell: (stream) => (stream.fault === undefined ? fieldsOf(stream).length : ''), right: true },
      { title: 'FROM', cell: ({ discovered }) => (discovered ? 'found now' : 'connector'), least: whole, spare: true },
    ],
    streams,
    terminal,
  )
const fields = (stream: StreamView, terminal: Terminal): string =>
  table(
    [
      { title: 'FIELD', cell: ({ name }) => name, least: 24 },
      { title: 'TYPE', cell: ({ type }) => type },
      { title: 'NULL', cell: ({ empty }) => (empty ? 'yes' : '') },
      { title: 'ROLE', cell: ({ role }) => role },
      { title: 'ABOUT', cell: ({ about }) => about },
    ],
    fieldsOf(stream),
    terminal,
  )

/** What is wrong with the tables that cannot be read, one a line. */
const faults = (streams: readonly StreamView[], { paint }: Terminal): string =>
  streams
    .flatMap(({ name, fault }) =>
      fault === undefined ? [] : [`${paint('red', visible(name))} cannot be read: ${visible(fault.message)}\n`],
    )
    .join('')

/** Shows what can be read from a partner: its streams, or the fields of one. */
export const discover = (invocation: Invocation, partner: string, wanted: string | undefined): Promise<number> =>
  withRuntime(invocation, async (runtime, signal) => {
    const { terminal, json } = invocation
    const connection = await runtime.connect(partner)
    try {
      const streams = await catalogOf(connection, { signal })
      if (wanted === undefined) {
        if (json) await terminal.out(`${toJson(streams, 2)}\n`)
        else if (streams.length > 0) await terminal.out(`${listing(streams, terminal)}${faults(streams, terminal)}`)
        else terminal.note(`${partner} has nothing to read: no stream is declared, and none was found just now\n`)
        return exits.done
      }
      const stream = streams.find(({ name }) => name === wanted)
      if (stream === undefined)
        throw new UsageError(
          `${partner} has no stream ${wanted}. ${streams.length === 0 ? 'It has none' : `Choose from: ${streams.map(({ name }) => name).join(', ')}`}`,
        )
      if (json) await terminal.out(`${toJson(stream, 2)}\n`)
      else if (stream.fault === undefined) await terminal.out(fields(stream, terminal))
      else terminal.note(faults([stream], { ...terminal, paint: terminal.paintNote }))
      return stream.fault === undefined ? exits.done : exits.failed
    } finally {
      await connection.close()
    }
  })
