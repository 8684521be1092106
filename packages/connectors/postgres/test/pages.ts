import type { WriteOptions } from '@ecokit/contracts'

/** What the child process writes and what the tests expect: page n of a stream, the same each time it is asked for. */
export const rowsOfPage = 40
export const pagesOfPass = 5
export const table = {
  name: 'numbers',
  schema: {
    type: 'object',
    properties: {
      id: { type: 'string' },
      page: { type: 'integer' },
      pass: { type: 'integer' },
      text: { type: 'string' },
    },
  },
  primaryKey: ['id'],
}
export const writing: Pick<WriteOptions, 'run' | 'key'> = { run: 'run', key: 'pipeline/numbers' }

/** Merged pages hit the same ids again and again. */
export const pageRecords = (page: number, disposition: 'append' | 'merge') =>
  Array.from({ length: rowsOfPage }, (_, index) => ({
    id: String(disposition === 'merge' ? (page * 7 + index) % 100 : page * rowsOfPage + index),
    page,
    pass: null as number | null,
    text: `page ${page}, "row" ${index}, ${'x'.repeat((page * index) % 50)}`,
  }))
