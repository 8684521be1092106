import type { Sink } from '@ecokit/contracts'
import { valueAt } from './explain.ts'
import type { Finding } from './explain.ts'
import { nearest, quote } from './suggest.ts'

/** What a pipeline writes into a sink: a stream into a table; without a stream, tables that are known when it runs. */
export interface Written {
  readonly partner: string
  readonly sink: Sink
  readonly stream?: string
  readonly table?: string
}

/** Keys of a config that name tables (`perTable` of a sink) and were probably meant for others. A table that no pipeline writes may be written by code, so only names that are near to one that is written are told. */
export const checkTables = (
  partners: readonly (readonly [string, unknown])[],
  written: readonly Written[],
): readonly Finding[] =>
  partners.flatMap(([name, raw]) => {
    const own = written.filter(({ partner, sink }) => partner === name && sink.perTable !== undefined)
    const fields = [...new Set(own.flatMap(({ sink }) => sink.perTable ?? []))]
    return fields.flatMap((field) => {
      const into = own.filter(({ sink }) => sink.perTable === field)
      const given = valueAt(raw, ['config', field])
      if (typeof given !== 'object' || given === null || into.some(({ table }) => table === undefined)) return []
      const keys = Object.keys(given)
      const tables = into.flatMap(({ table }) => table ?? [])
      return keys.flatMap((key): Finding[] => {
        if (tables.includes(key)) return []
        const renamed = into.find(({ stream }) => stream === key)?.table
        const meant = nearest(
          key,
          tables.filter((table) => !keys.includes(table)),
        )
        if (renamed === undefined && meant === undefined) return []
        const why =
          renamed === undefined
            ? `; did you mean ${quote(meant ?? '')}?`
            : `: stream ${quote(key)} is written into the table ${quote(renamed)}`
        return [
          { path: ['partners', name, 'config', field, key], at: 'key', message: `unknown table ${quote(key)}${why}` },
        ]
      })
    })
  })
