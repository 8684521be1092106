import { firstIssue } from '@ecokit/contracts'
import { z } from 'zod'

const shown = (value: unknown): string => {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null
    ? 'an object'
    : typeof value === 'function'
      ? 'code'
      : String(value)
}
/** What a field must be, for the message of a schema that refuses it. */
const must = (what: string) => ({
  error: ({ input }: { readonly input?: unknown }) =>
    input === undefined ? `missing; it must be ${what}` : `must be ${what}, not ${shown(input)}`,
})
const choose = (fields: readonly string[]): string => `choose one of: ${fields.join(', ')}`

/** An object with these fields and no others. */
const only = <const Shape extends z.core.$ZodShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `there is no such field; ${choose(Object.keys(shape))}`
        : must('an object').error(issue),
  })
const oneOf = <const Values extends readonly string[]>(values: Values) =>
  z.enum(values, must(`one of: ${values.join(', ')}`))

const kinds = ['token', 'offset', 'page', 'link', 'url']
const noSuchPaging = ({ input }: { readonly input?: unknown }): string => {
  if (typeof input !== 'object' || input === null) return must('an object').error({ input })
  const { kind } = input as { readonly kind?: unknown }
  return kind === undefined
    ? `missing; ${choose(kinds)}`
    : `there is no paging of the kind ${typeof kind === 'string' ? kind : shown(kind)}; ${choose(kinds)}`
}

const build = () => {
  const text = z.string(must('a text'))
  const name = text.min(1, must('a text that is not empty'))
  const yes = z.boolean(must('true or false'))
  const path = text.regex(/^[^.]+(?:\.[^.]+)*$/, must('a dotted path, like data.items'))
  const texts = z.record(z.string(), text, must('an object of texts'))
  const above0 = must('a whole number above 0')
  const size = z.int(above0).min(1, above0)
  const not0 = must('a whole number, 0 or above')
  const lag = must('a number of milliseconds, 0 or above')
  const times = [z.iso.date(), z.iso.datetime({ offset: true })]
  const parameter = { in: oneOf(['query', 'body']).optional(), parameter: name }
  const form = ['iso', 'date', 'epoch_ms', 'epoch_s'] as const
  return only({
    base: name.optional(),
    method: oneOf(['GET', 'POST']).optional(),
    path: text,
    query: z
      .record(
        z.string(),
        z.custom<string | readonly string[]>(
          (value) => [value].flat().every((one) => typeof one === 'string'),
          must('a text or a list of texts'),
        ),
        must('an object of texts'),
      )
      .optional(),
    headers: texts.optional(),
    body: z.record(z.string(), z.unknown(), must('an object')).optional(),
    records: path.optional(),
    mayLack: yes.optional(),
    paging: z
      .discriminatedUnion(
        'kind',
        [
          only({ kind: z.literal('token'), ...parameter, next: path }),
          only({ kind: z.literal('offset'), ...parameter, size: size.optional() }),
          only({
            kind: z.literal('page'),
            ...parameter,
            first: z.int(not0).min(0, not0).optional(),
            size: size.optional(),
          }),
          only({ kind: z.literal('link') }),
          only({ kind: z.literal('url'), next: path }),
        ],
        { error: noSuchPaging },
      )
      .optional(),
    pageSize: only({ ...parameter, size }).optional(),
    incremental: only({
      since: only(parameter),
      until: only(parameter).optional(),
      form: oneOf([...form, 'as_is']).optional(),
      lagMs: z.number(lag).min(0, lag).optional(),
      ordered: yes.optional(),
    }).optional(),
    partitions: z
      .union([
        only({ parent: name, fields: texts, mayLack: yes.optional() }),
        only({
          windowMs: size,
          from: z.custom<string>(
            (value) => times.some((time) => time.safeParse(value).success),
            // One without a zone would begin elsewhere on each machine.
            must('a date or a time with its zone, like 2026-01-31T00:00:00Z'),
          ),
          since: only(parameter),
          until: only(parameter),
          form: oneOf(form).optional(),
        }),
      ])
      .optional(),
    changes: z.literal('compare', must('compare')).optional(),
    wire: z.custom<z.ZodType>((value) => value instanceof z.core.$ZodType, must('a zod schema')).optional(),
    map: z.custom<(record: never) => unknown>((value) => typeof value === 'function', must('a function')).optional(),
    http: z.custom<object>((value) => typeof value === 'object' && value !== null, must('an object')).optional(),
  })
}

let built: ReturnType<typeof build> | undefined
/** What a declared stream may say; made when the first one is looked at, so that connectors without any pay nothing. */
export const declaration = (): ReturnType<typeof build> => (built ??= build())

type Issue = z.core.$ZodIssue
const unknownIn = (issues: readonly Issue[]): number =>
  issues.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 0), 0)
/** The issues, and for a choice those of the one that was probably meant: it knows the most of the fields. */
const issuesIn = (issues: readonly Issue[]): readonly Issue[] =>
  issues.flatMap((issue) => {
    if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue]
    const [meant = []] = issue.errors.toSorted(
      (one, other) => unknownIn(one) - unknownIn(other) || one.length - other.length,
    )
    return issuesIn(meant).map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }))
  })

/** What is wrong with the fields of a declared stream, in words that name the field; undefined where nothing is. */
export const declarationFault = (rest: unknown): string | undefined => {
  // Compiling a schema that is asked once or twice takes longer than asking it.
  const parsed = declaration().safeParse(rest, { jitless: true })
  if (parsed.success) return undefined
  const issues = issuesIn(parsed.error.issues)
  // A field that is spelt wrongly tells more than the one that is missing therefore.
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]
  const { field, message } = firstIssue(new z.ZodError(issue === undefined ? [] : [issue]), 'rest')
  return `${field}: ${message}`
}
