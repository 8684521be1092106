import { readFileSync } from 'node:fs'
import { integrationError } from '@ecokit/contracts'
import { z } from 'zod'

/** JSON as it was, text that is no JSON (or not the same when written again), or bytes in base64; absent: no body. */
const body = z.union([
  z.strictObject({ json: z.json() }),
  z.strictObject({ text: z.string() }),
  z.strictObject({ base64: z.string() }),
])
export type RecordedBody = z.output<typeof body>

const headers = z.record(z.string(), z.union([z.string(), z.array(z.string())]))
const exchange = z.strictObject({
  request: z.strictObject({
    method: z.string(),
    /** Only where it is not that of the first exchange. */
    origin: z.string().optional(),
    path: z.string(),
    /** In the order of their names; `[name, value]`. */
    query: z.array(z.tuple([z.string(), z.string()])).optional(),
    headers: headers.optional(),
    body: body.optional(),
  }),
  reply: z.strictObject({ status: z.int(), headers: headers.optional(), body: body.optional() }),
})
/** One request and its reply, free of secrets: `***` stands where one was. */
export type RecordedExchange = z.output<typeof exchange>
const recording = z.strictObject({ recording: z.literal(1), exchanges: z.array(exchange) })

/** What stands in place of a secret, and matches anything in a replayed request. */
export const hidden = '***'

export const readRecording = (file: string): readonly RecordedExchange[] => {
  const refuse = (what: string, next: string) =>
    integrationError('invalid_config', { what: `the recording ${file} ${what}`, next, details: { field: file } })
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw refuse(
      `cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown'})`,
      'Record it first with recordExchanges',
    )
  }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw refuse('is no JSON', 'Record it again')
  }
  const parsed = recording.safeParse(value)
  if (!parsed.success) throw refuse(`is no recording: ${z.prettifyError(parsed.error)}`, 'Mend it or record it again')
  return parsed.data.exchanges
}
export const recordingText = (exchanges: readonly RecordedExchange[]): string =>
  `${JSON.stringify({ recording: 1, exchanges: [...exchanges] } satisfies z.input<typeof recording>, undefined, 2)}\n`
