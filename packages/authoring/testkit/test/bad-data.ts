/* eslint-disable @typescript-eslint/unbound-method -- what a connector opens is made of closures */
import { Buffer } from 'node:buffer'
import type { AnyRecord, CallOptions } from '@ecokit/contracts'
import { bend, bendBatches, bendTable, records, unread, withTables } from './bend.ts'
import type { Bad } from './bend.ts'
import { notes } from './notes.ts'

const { sinks } = notes.manifest
const firstValues = new Map<string, AnyRecord>()

export const dataBreakers = (): readonly Bad[] => [
  {
    rule: 'streams.rows',
    does: 'gives a record that does not fit',
    connector: bendBatches((batch) => ({
      ...batch,
      encoding: 'records',
      records: records(batch).map((record) => (record.id === 'n7' ? { ...record, seq: 'eight' } : record)),
    })),
  },
  {
    rule: 'streams.keys',
    does: 'gives a record twice',
    connector: bendBatches((batch) => ({
      ...batch,
      encoding: 'records',
      records: [...records(batch).slice(0, 1), ...records(batch)],
    })),
  },
  {
    rule: 'streams.bounded',
    does: 'gives batches without bound',
    connector: bendBatches((batch) => ({
      ...batch,
      encoding: 'records',
      records: records(batch).map((record) => (record.id === 'n0' ? { ...record, text: 'x'.repeat(2 ** 24) } : record)),
    })),
  },
  {
    rule: 'streams.checkpoint',
    does: 'keeps a date in its checkpoint',
    connector: bendBatches((batch) => ({ ...batch, checkpoint: { ...batch.checkpoint, at: new Date() } })),
  },
  {
    rule: 'streams.resume',
    does: 'is ahead of its data',
    connector: bendBatches((batch) => ({ ...batch, checkpoint: { seq: Number(batch.checkpoint?.['seq']) + 1 } })),
  },
  {
    rule: 'streams.forward',
    does: 'begins again after its end',
    connector: bendBatches((batch) => ({
      ...batch,
      checkpoint: batch.checkpoint?.['seq'] === 8 ? {} : (batch.checkpoint ?? {}),
    })),
  },
  {
    rule: 'discover.tables',
    does: 'keeps a column to itself',
    connector: bend({}, ({ discover }) => ({
      async *discover(options: CallOptions) {
        for await (const table of discover(options))
          yield { ...table, schema: { type: 'object', properties: { id: {} } } }
      },
    })),
  },
  {
    rule: 'sinks.samples',
    does: 'has a sink that nobody tried',
    connector: bend({ sinks: { ...sinks, more: sinks.points } }, ({ write }) => ({
      write: { ...write, more: write.points },
    })),
    options: unread,
  },
  {
    rule: 'sinks.round-trip',
    does: 'loses the last line of NDJSON',
    connector: bendTable(({ write }) => ({
      write: async (batch) => {
        if (batch.encoding !== 'ndjson') return write(batch)
        const lines = Buffer.from(batch.bytes).toString().trim().split('\n')
        const written = await write({ ...batch, bytes: Buffer.from(lines.slice(0, -1).join('\n')) })
        return { ...written, rows: lines.length }
      },
    })),
  },
  {
    rule: 'sinks.resume',
    does: 'forgets its checkpoints',
    connector: bendTable(() => ({ resumesFrom: () => Promise.resolve(undefined) })),
  },
  {
    rule: 'sinks.uncommitted',
    does: 'shows rows before they are committed',
    connector: bendTable(({ write, commit }, { disposition }) => ({
      write: async (batch, options) => {
        const written = await write(batch, options)
        if (disposition === 'append') await commit(undefined, { ...options, final: false })
        return written
      },
    })),
  },
  {
    rule: 'sinks.append',
    does: 'overwrites when it is to append',
    connector: withTables((options) =>
      options.disposition === 'append' ? { ...options, disposition: 'overwrite' } : options,
    ),
  },
  {
    rule: 'sinks.overwrite',
    does: 'swaps before the pass is complete',
    connector: bendTable(({ commit }, { disposition }) => ({
      commit: (checkpoint, options) =>
        commit(checkpoint, disposition === 'overwrite' ? { ...options, final: true } : options),
    })),
  },
  {
    rule: 'sinks.merge',
    does: 'keeps the first value for ever',
    connector: bendTable(({ write }, { table, disposition }) => ({
      write: (batch) => {
        if (batch.encoding !== 'records' || disposition !== 'merge') return write(batch)
        const kept = batch.records.map((record) => {
          const key = `${table.name} ${String(record['id'])}`
          firstValues.set(key, firstValues.get(key) ?? record)
          return firstValues.get(key) ?? record
        })
        return write({ ...batch, records: kept })
      },
    })),
  },
  {
    rule: 'sinks.deletes',
    does: 'deletes nothing',
    connector: bendTable(({ write }) => ({
      write: (batch) => {
        const { deleted: _deleted, ...rest } = batch
        return write(rest)
      },
    })),
  },
  { rule: 'sinks.prune', does: 'prunes nothing', connector: withTables((options) => ({ ...options, prune: false })) },
  {
    rule: 'sinks.rejected',
    does: 'drops a record without a word',
    connector: bendTable(({ write }) => ({ write: async (batch) => ({ ...(await write(batch)), rejected: [] }) })),
  },
  {
    rule: 'sinks.cancel',
    does: 'does not listen to the signal of its commit',
    connector: bendTable(({ commit }) => ({
      commit: (checkpoint, options) => commit(checkpoint, options?.final === undefined ? {} : { final: options.final }),
    })),
  },
]
