import { z } from 'zod'
import { wrongCron } from './cron.ts'
import { duration, durationOrNever } from './duration.ts'
import { commitSize } from './size.ts'
import { nearest, quote } from './suggest.ts'

const tableName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'not a table name; use letters, digits and _, and begin with a letter or _')
const field = (about: string) => z.string().min(1).max(256).describe(about)
const columnName = z.string().min(1).max(128)

const changeMode = z.enum(['evolve', 'freeze', 'discard_row', 'discard_value'])
const changes = (what: string) => changeMode.optional().describe(what)
/** `contract: freeze` means all three. */
const SchemaContract = z
  .union([
    changeMode,
    z.strictObject({
      tables: changes('Streams that were not there before. Default evolve.'),
      columns: changes('Columns that come or go. Default evolve.'),
      types: changes('Columns whose type is another. Default evolve.'),
    }),
  ])
  .transform((given) => (typeof given === 'string' ? { tables: given, columns: given, types: given } : { ...given }))

const castForm =
  /^(string|integer|number|boolean|timestamp|date|json|decimal\(([1-9]|[12][0-9]|3[0-8]),([0-9]|[12][0-9]|3[0-8])\))$/
const badCast =
  'not a type; write string, integer, number, boolean, timestamp, date, json or decimal(18,4), with at most 38 digits'
const castType = z
  .string()
  .regex(castForm, badCast)
  .refine((text) => {
    const [, digits = 0, scale = 0] = (/\((\d+),(\d+)\)/.exec(text) ?? []).map(Number)
    return scale <= digits
  }, 'more digits behind the point than there are; write decimal(18,4)')

const isPattern = (text: string): boolean => {
  try {
    new RegExp(text)
    return true
  } catch {
    return false
  }
}

const everyRule = {
  name: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .describe('How reports call it. Default: made of the rule and its fields.'),
  severity: z
    .enum(['warn', 'quarantine', 'stop'])
    .optional()
    .describe(
      'What a broken rule does: tell, put the records aside (default), or stop the stream before its rows are seen.',
    ),
}
const rule = <K extends string, S extends z.ZodRawShape>(name: K, about: string, shape: S) =>
  z.strictObject({ rule: z.literal(name).describe(about), ...shape, ...everyRule })
const bound = (about: string) =>
  z
    .union([z.number(), z.string().min(1)])
    .optional()
    .describe(about)
const rows = (about: string) => z.int().min(0).optional().describe(about)
const share = (about: string) => z.number().min(0).max(1000).optional().describe(about)
const column = (about = 'The column that it looks at, by its name after renaming.') => field(about)

/** What people write in `quality`: one rule. */
export const Quality = z
  .discriminatedUnion('rule', [
    rule('not_null', 'Every row has a value.', { field: column() }),
    rule('unique', 'No two rows of the table have the same values.', {
      fields: z.array(field('A column.')).min(1).max(16).describe('The columns that are unique together.'),
    }),
    rule('range', 'A number or a time within bounds, both included.', {
      field: column(),
      min: bound('The least that is good.'),
      max: bound('The most that is good.'),
    }),
    rule('set', 'One of these values.', {
      field: column(),
      values: z
        .array(z.union([z.string(), z.number(), z.boolean()]))
        .min(1)
        .max(1000)
        .describe('What is allowed.'),
    }),
    rule('regex', 'A text that the expression is found in.', {
      field: column(),
      pattern: z
        .string()
        .min(1)
        .max(1000)
        .refine(isPattern, 'not a regular expression of JavaScript; test it without flags and slashes')
        .describe('A regular expression, without slashes and flags: ^[a-z]+$'),
    }),
    rule('freshness', 'The newest value of a time is not too old when a pass ends.', {
      field: column(),
      max_age: duration('1s', '3650d').describe('How old it may be: 24h.'),
    }),
    rule('row_count', 'How many records a complete pass brings.', {
      min: rows('At least so many.'),
      max: rows('At most so many.'),
      at_least: share('At least this share of the median of the passes before: 0.5.'),
      at_most: share('At most this share of the median of the passes before: 2.'),
      runs: z.int().min(1).max(100).optional().describe('How many passes before are looked at. Default 5.'),
    }),
    rule('referential', 'Each value is found in another table of the sink.', {
      field: column(),
      table: tableName.describe('The other table.'),
      references: field('Its column.'),
    }),
    rule('sql', 'A query whose rows are the faults.', {
      query: z
        .string()
        .min(1)
        .max(10_000)
        .describe('What it asks; {table} stands for the table, {table:name} for another one of the sink.'),
    }),
  ])
  .superRefine((given, context) => {
    const none = (fields: readonly string[]) =>
      fields.every((name) => (given as Record<string, unknown>)[name] === undefined)
    const say = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
    if (given.rule === 'range' && none(['min', 'max'])) say('rule', 'has no bounds; add min, max or both')
    if (given.rule === 'row_count' && none(['min', 'max', 'at_least', 'at_most']))
      say('rule', 'has no bounds; add min, max, at_least or at_most')
  })

/** What people write under `pipelines.<name>.streams.<stream>`. */
export const StreamOptions = z.strictObject({
  mode: z.enum(['full_refresh', 'incremental']).optional().describe('Read everything, or only what is new.'),
  disposition: z
    .enum(['append', 'overwrite', 'merge'])
    .optional()
    .describe('What happens to rows that are there already.'),
  lag: duration('0s', '365d').optional().describe('How far behind its last position an incremental read starts again.'),
  table: tableName.optional().describe("The table that it is written to. Default: the stream's name."),
  columns: z
    .array(field('A field of the stream.'))
    .min(1)
    .max(10_000)
    .optional()
    .describe('The fields that are read; primary key and cursor always are. Default: all.'),
  rename: z.record(z.string(), columnName).optional().describe('Names of columns, by the fields that they come from.'),
  cast: z
    .record(z.string(), castType)
    .optional()
    .describe(
      'Types by column, after renaming: string, integer, number, boolean, timestamp, date, json, decimal(18,4).',
    ),
  deletes: z
    .enum(['hard', 'soft', 'ignore'])
    .optional()
    .describe('What happens to rows that are gone at the source: removed (default), marked in _deleted_at, or left.'),
  contract: SchemaContract.optional().describe(
    'What happens when the schema changes: evolve (default), freeze, discard_row or discard_value, for all or by columns and types.',
  ),
  allow_duplicates: z
    .boolean()
    .optional()
    .describe('Lets append write into a sink that may hold a row twice after a crash. Default false.'),
  quality: z.array(Quality).max(200).optional().describe("Rules for its records, beside the connector's own."),
})

const isTimeZone = (name: string): boolean => {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}
const noTimeZone = (name: string): string => {
  const meant = nearest(name, Intl.supportedValuesOf('timeZone'))
  return `there is no time zone ${quote(name)}; ${meant === undefined ? 'write Europe/Berlin or UTC' : `did you mean ${quote(meant)}?`}`
}

/** What people write under `pipelines.<name>.schedule`. */
export const Schedule = z.strictObject({
  cron: z
    .string()
    .max(200)
    .superRefine((text, context) => {
      const wrong = wrongCron(text)
      if (wrong !== undefined) context.addIssue({ code: 'custom', message: wrong })
    })
    .describe('When it runs: minute, hour, day of the month, month, day of the week, as in 0 3 * * * (at 03:00).'),
  timezone: z
    .string()
    .min(1)
    .superRefine((name, context) => {
      if (!isTimeZone(name)) context.addIssue({ code: 'custom', message: noTimeZone(name) })
    })
    .optional()
    .describe('Whose clock the times are of: Europe/Berlin. Default UTC.'),
  jitter: duration('0s', '24h')
    .optional()
    .describe('Each pipeline starts so much later at most, always by the same amount. Default 0s.'),
  missed: z
    .enum(['skip', 'catch_up'])
    .optional()
    .describe(
      'What becomes of times that passed while nothing ran: one run makes up for all (catch_up, the default), or none (skip).',
    ),
})

/** What people write under `pipelines.<name>`. */
export const Pipeline = z.strictObject({
  source: z.string().min(1).describe('The partner that is read.'),
  sink: z.string().min(1).describe('The partner that is written to, or `partner.sink` where it has several sinks.'),
  streams: z
    .union([z.array(z.string().min(1)).min(1), z.record(z.string(), StreamOptions.nullable())])
    .nullish()
    .describe('Which streams: a list of names, or a map of names to options. Default: all of them.'),
  contract: SchemaContract.optional().describe(
    "What happens when a stream's schema changes, where the stream itself does not say.",
  ),
  parallel: z.int().min(1).max(64).optional().describe('How many streams are synced at a time. Default 1.'),
  commit: commitSize
    .optional()
    .describe(
      'When rows become lasting, which is where a run that was cut off goes on: page, or after so much: 16MiB. Default: 4MiB or a second, and earlier where it costs little.',
    ),
  every: duration('1s')
    .optional()
    .describe('How often `ecokit up` runs it, at its start first. Default: only when asked.'),
  schedule: Schedule.optional().describe('When `ecokit up` runs it, by the clock; in place of `every`.'),
  reconcile: durationOrNever('1m', '365d')
    .prefault('24h')
    .describe('How often everything is read and compared, which finds deletes and late edits. Default 24h; or never.'),
})
