import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineConnector, stream } from '../src/index.ts'

const Row = z.object({ id: z.string(), at: z.iso.datetime() })
const rest = { path: 'rows', records: 'items' } as const
const manifest = { id: 'a', title: 'A', config: z.object({}), hosts: ['api.example.com'] } as const
const check = async () => ({})
async function* none() {}

test('a session reads exactly the streams that are not declared with rest', () => {
  const declared = stream({ schema: Row, primaryKey: ['id'], cursor: 'at', rest })
  const coded = stream({ schema: Row })
  // All are declared: there is nothing to read.
  const all = defineConnector({ ...manifest, streams: { declared } }, () => ({ check }))
  expect(all.manifest.streams.declared.rest).toBe(rest)
  const some = defineConnector({ ...manifest, streams: { declared, coded } }, () => ({ check, read: { coded: none } }))
  expect(Object.keys(some.manifest.streams)).toEqual(['declared', 'coded'])
  defineConnector({ ...manifest, streams: { coded } }, () => ({ check, read: { coded: none } }))

  // @ts-expect-error the stream that is read by code is missing
  defineConnector({ ...manifest, streams: { declared, coded } }, () => ({ check }))
  // @ts-expect-error and so it is where another one is there
  defineConnector({ ...manifest, streams: { declared, coded } }, () => ({ check, read: {} }))
  defineConnector({ ...manifest, streams: { declared, coded } }, () => ({
    check,
    // @ts-expect-error connect reads what is declared
    read: { coded: none, declared: none },
  }))
})

test('keys and cursors are fields, and what code makes of a record is a row', () => {
  const wire = z.object({ key: z.number(), when: z.string() })
  const made = stream({ schema: Row, rest: { ...rest, wire, map: ({ key, when }) => ({ id: String(key), at: when }) } })
  expect(made.rest.map?.({ key: 1, when: 'now' })).toEqual({ id: '1', at: 'now' })
  // @ts-expect-error no such field
  stream({ schema: Row, cursor: 'when', rest })
  // @ts-expect-error a row lacks a field
  stream({ schema: Row, rest: { ...rest, wire, map: ({ key }) => ({ id: String(key) }) } })
  // @ts-expect-error the partner sends no such field
  stream({ schema: Row, rest: { ...rest, wire, map: ({ id }) => ({ id: String(id), at: '' }) } })
  // @ts-expect-error no such paging
  stream({ schema: Row, rest: { ...rest, paging: { kind: 'guess' } } })
})
