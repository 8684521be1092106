import { z } from 'zod'

/** An integer of 64 bits, kept exact: takes a bigint, a safe number or decimal digits in a string, gives a bigint. A column of type BIGINT. */
export const int64 = () =>
  z
    .union([z.bigint(), z.int(), z.string().regex(/^-?\d{1,19}$/)])
    .transform((value) => BigInt(value))
    .refine((value) => value >= -(2n ** 63n) && value < 2n ** 63n, 'beyond 64 bits')
    .meta({ type: 'integer', format: 'int64' })

/** Any IEEE 754 double, NaN and the infinities among them, which `z.number()` refuses. A column of type DOUBLE. */
export const double = () =>
  z.custom<number>((value) => typeof value === 'number', 'expected a number').meta({ type: 'number', format: 'double' })

/** A body of bytes that is not data: left out of forms, logs and command lines. A stream is read once, so the call is never retried. */
export const bytes = () =>
  z
    .custom<Uint8Array | ReadableStream<Uint8Array>>(
      (value) => value instanceof Uint8Array || value instanceof ReadableStream,
      'expected bytes or a stream of bytes',
    )
    .meta({ bytes: true })

/** A text that must never be shown: `meta.secret` hides it in forms, logs, errors and the CLI. */
export const secret = () => z.string().min(1).meta({ secret: true })

export type JsonSchema = Readonly<Record<string, unknown>>

/** The JSON Schema (draft 2020-12) of a zod schema, for forms, editors and columns; what JSON cannot say becomes `{}`. */
export const jsonSchema = (schema: z.ZodType, io: 'input' | 'output' = 'output'): JsonSchema =>
  z.toJSONSchema(schema, {
    io,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema: out }) => {
      const meta = z.globalRegistry.get(zodSchema)
      if (meta?.['format'] === 'int64') delete out.anyOf
      if (zodSchema._zod.def.type === 'bigint') Object.assign(out, { type: 'integer', format: 'int64' })
    },
  })

/** The dotted path and the message of the first thing that a schema refuses; `at` is put before the path. */
export const firstIssue = (error: z.ZodError, at = ''): { readonly field: string; readonly message: string } => {
  const issue = error.issues[0]
  const path = [...(at === '' ? [] : [at]), ...(issue?.path ?? []).map(String)]
  if (issue?.code === 'unrecognized_keys') path.push(issue.keys[0] ?? '')
  return { field: path.join('.'), message: issue?.message ?? 'invalid' }
}

/** The dotted paths of a schema's secret fields; an item of a list has its list's path. */
export const secretFields = (schema: z.ZodType): readonly string[] => {
  const found = new Set<string>()
  const walk = (node: unknown, path: string): void => {
    if (typeof node !== 'object' || node === null) return
    const { secret, properties, items, anyOf, oneOf, allOf } = node as Readonly<Record<string, unknown>>
    if (secret === true) found.add(path)
    for (const [key, value] of Object.entries(properties ?? {})) walk(value, path === '' ? key : `${path}.${key}`)
    for (const part of [items, anyOf, oneOf, allOf].flat()) walk(part, path)
  }
  walk(jsonSchema(schema, 'input'), '')
  return [...found]
}
