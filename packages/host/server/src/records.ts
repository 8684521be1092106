import { integrationError, jsonSchema } from '@ecokit/contracts'
import type { AnyConnection, AnyRecord, Operation } from '@ecokit/contracts'
import { readJson } from '@ecokit/http'

const decoder = new TextDecoder()

/** The records of a stream, one by one; throws `unsupported` where the partner has no streams or gives them as Arrow. */
export const readRecords = async function* (
  connection: AnyConnection,
  stream: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): AsyncGenerator<AnyRecord, void, undefined> {
  const { name } = connection
  if (connection.read === undefined)
    throw integrationError('unsupported', {
      partner: name,
      what: 'it has no streams to read',
      details: { what: 'read' },
    })
  for await (const batch of connection.read(stream, options)) {
    if (batch.encoding === 'records') yield* batch.records
    else if (batch.encoding === 'ndjson') {
      for (const line of decoder.decode(batch.bytes).split('\n')) if (line !== '') yield readJson(line) as AnyRecord
    } else
      throw integrationError('unsupported', {
        partner: name,
        what: `${stream} comes as Arrow, which cannot be shown`,
        next: 'Sync it into a lake and read it there',
        details: { what: batch.encoding },
      })
  }
}

/** At most so many items of a sequence, and whether there were more; the rest is not read. */
export const firstOf = async <T>(
  items: AsyncIterable<T>,
  limit: number,
): Promise<{ readonly items: readonly T[]; readonly truncated: boolean }> => {
  const found: T[] = []
  for await (const item of items) {
    if (found.length === limit) return { items: found, truncated: true }
    found.push(item)
  }
  return { items: found, truncated: false }
}

/** Whether an operation takes or gives bytes (`bytes()` of the contracts), which JSON does not carry. */
export const bytesOf = ({ input, output }: Operation): { readonly input: boolean; readonly output: boolean } => ({
  input: JSON.stringify(jsonSchema(input, 'input')).includes('"bytes":true'),
  output: JSON.stringify(jsonSchema(output)).includes('"bytes":true'),
})
