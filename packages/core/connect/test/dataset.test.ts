import path from 'node:path'
import { basic } from '@ecokit/auth'
import { defineConnector, sink } from '@ecokit/contracts'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { connect } from '../src/index.ts'

const config = z.strictObject({ url: z.url().optional(), folder: z.string().optional(), port: z.int().default(5432) })
const lake = sink({ accepts: ['records'], dispositions: ['append'], commit: 'transaction' })
const write = () => Promise.reject(new Error('not here'))
const named = defineConnector(
  {
    id: 'named',
    title: 'Named',
    config,
    hosts: [],
    dataset: { namespace: '{url}', name: '{table}' },
    sinks: {
      rows: lake,
      tables: { ...lake, dataset: { namespace: 'db://lab:{port}', name: 'main.{table}' } },
      files: { ...lake, dataset: { namespace: 'file', name: '{folder}/{table}' } },
    },
  },
  () => ({ check: () => Promise.resolve({}), write: { rows: write, tables: write, files: write } }),
)
const open = (given: z.input<typeof config>) => connect(named, { config: given })

test('names come from the manifest and the config, a sink may have its own, and paths are absolute', () => {
  const { dataset } = open({ url: 'https://lab.example.com/api/', folder: 'lake' })
  expect(dataset?.('runs')).toEqual({ namespace: 'https://lab.example.com/api', name: 'runs' })
  expect(dataset?.('runs', 'rows')).toEqual({ namespace: 'https://lab.example.com/api', name: 'runs' })
  expect(dataset?.('runs', 'tables')).toEqual({ namespace: 'db://lab:5432', name: 'main.runs' })
  expect(dataset?.('runs', 'files')).toEqual({ namespace: 'file', name: path.resolve('lake', 'runs') })
})

test('a name with a gap is no name, and who may go there is not in one', () => {
  expect(open({}).dataset?.('runs')).toBeUndefined()
  expect(open({}).dataset?.('runs', 'files')).toBeUndefined()
  const { dataset } = open({ url: 'https://ada:secret@lab.example.com/?token=secret#x' })
  expect(dataset?.('{folder}')).toEqual({ namespace: 'https://lab.example.com', name: '{folder}' })
})

test('a connector that says nothing has none', () => {
  const bare = defineConnector(
    { id: 'bare', title: 'Bare', config: z.strictObject({}), hosts: [], auth: { basic: basic() } },
    () => ({ check: () => Promise.resolve({}) }),
  )
  const as = { config: {}, credentials: { scheme: 'basic', username: 'ada', password: 'x' } } as const
  expect(connect(bare, as).dataset?.('runs')).toBeUndefined()
})
