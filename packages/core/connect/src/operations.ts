import { firstIssue, integrationError, jsonSchema } from '@ecokit/contracts'
import type { z } from 'zod'

const streaming = new WeakMap<z.ZodType, boolean>()
/** True where an answer of this schema may be a stream that is read after the call. */
export const holdsStream = (schema: z.ZodType): boolean => {
  const known = streaming.get(schema) ?? JSON.stringify(jsonSchema(schema)).includes('"bytes":true')
  streaming.set(schema, known)
  return known
}

/** Checks an operation's input; throws `invalid_input` naming the operation and the field. */
export const readInput =
  (partner: string, name: string, schema: z.ZodType) =>
  (input: unknown): unknown => {
    const parsed = schema.safeParse(input)
    if (parsed.success) return parsed.data
    const { field, message } = firstIssue(parsed.error)
    throw integrationError('invalid_input', {
      partner,
      what: `${name}: ${field === '' ? '' : `${field}: `}${message}`,
      details: { field },
    })
  }

/** Checks what a connector answered; throws `invalid_reply` naming the operation and the field. */
export const readOutput =
  (partner: string, name: string, schema: z.ZodType) =>
  (output: unknown): unknown => {
    const parsed = schema.safeParse(output)
    if (parsed.success) return parsed.data
    const { field, message } = firstIssue(parsed.error)
    throw integrationError('invalid_reply', {
      partner,
      what: `${name}: the answer does not fit its schema${field === '' ? '' : ` at ${field}`}: ${message}`,
      next: 'See whether the connector has a newer version',
      details: { field },
    })
  }
