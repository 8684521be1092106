import { z } from 'zod'
import { none } from '@ecokit/auth'
import type { CallOptions } from '@ecokit/contracts'
import { secret, stream } from '@ecokit/contracts'
import { bend, config, unread } from './bend.ts'
import type { Bad } from './bend.ts'
import { Note, notes, notesCapability } from './notes.ts'

const { sinks, auth } = notes.manifest

export const settingsBreakers = (): readonly Bad[] => [
  { rule: 'manifest.id', does: 'has an id in capitals', connector: bend({ id: 'Notes' }) },
  { rule: 'manifest.title', does: 'has no title', connector: bend({ title: '' }) },
  {
    rule: 'manifest.schemas',
    does: 'asks for it knows not what',
    connector: bend({ config: config({ extra: z.unknown().optional() }) }),
  },
  {
    rule: 'manifest.names',
    does: 'has a sink in capitals',
    connector: bend({ sinks: { Tables: sinks.tables, points: sinks.points } }, ({ write }) => ({
      write: { Tables: write.tables, points: write.points },
    })),
    options: (options) => ({
      ...unread(options),
      sinks: Object.fromEntries(
        Object.entries(options.sinks ?? {}).map(([name, sample]) => [name === 'tables' ? 'Tables' : name, sample]),
      ),
    }),
  },
  {
    rule: 'manifest.capabilities',
    does: 'has no template name',
    connector: bend({ provides: { notes: { ...notesCapability, id: 'notes' } } }),
  },
  {
    rule: 'manifest.hosts',
    does: 'names a path as a host',
    connector: bend({ hosts: ['{url}', 'files.example.com/notes'] }),
  },
  {
    rule: 'manifest.secrets',
    does: 'takes a token in its config',
    connector: bend({ config: config({ apiToken: z.string().optional() }) }),
  },
  {
    rule: 'manifest.streams',
    does: 'has a cursor that is no column',
    connector: bend({ streams: { notes: { ...stream({ schema: Note, primaryKey: ['id'] }), cursor: 'when' } } }),
  },
  {
    rule: 'manifest.declared',
    does: 'reads the same list for each of its parents',
    connector: bend({
      streams: {
        ...notes.manifest.streams,
        per_entry: stream({
          schema: Note,
          rest: { path: 'notes', records: 'items', partitions: { parent: 'entries', fields: { entry: 'id' } } },
        }),
      },
    }),
    options: (options) => ({ ...unread(options), without: { per_entry: 'it is only declared' } }),
  },
  {
    rule: 'manifest.sinks',
    does: 'commits nobody knows how',
    connector: bend({ sinks: { ...sinks, tables: { ...sinks.tables, commit: 'sometimes' } } }),
  },
  {
    rule: 'config.accepts',
    does: 'wants what JSON cannot hold',
    connector: bend({ config: config({ big: z.bigint().optional() }) }),
    options: (options) => ({ ...options, config: { ...(options.config as object), big: 1n } }),
  },
  {
    rule: 'config.strict',
    does: 'drops unknown keys in silence',
    connector: bend({ config: z.object(notes.manifest.config.shape) }),
  },
  {
    rule: 'config.refuses',
    does: 'takes a page size of nothing',
    connector: bend({ config: config({ pageSize: z.number().default(3) }) }),
  },
  {
    rule: 'auth.schemes',
    does: 'has a kind in words of its own',
    connector: bend({ auth: { token: { ...auth.token, kind: 'Bearer Token' } } }),
  },
  {
    rule: 'auth.fields',
    does: 'drops unknown keys of credentials',
    connector: bend({ auth: { token: { ...auth.token, credentials: z.object({ token: secret() }) } } }),
  },
  {
    rule: 'auth.wrong',
    does: 'checks a page that is open to everybody',
    connector: bend({}, (_session, { http, config: { url } }) => ({
      check: (options: CallOptions) =>
        http(url).json({ method: 'GET', path: 'ping' }, z.object({ version: z.string() }), options),
    })),
  },
  {
    rule: 'docs.readme',
    does: 'has a scheme of which its README is silent',
    connector: bend({ auth: { ...auth, anonymous: none() } }),
  },
]
