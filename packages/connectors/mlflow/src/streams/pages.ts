import { isIntegrationError, type Batch, type Checkpoint } from '@ecokit/contracts'

/** Asks for pages of a size, and from then on for half as much whenever a reply is too large. */
export const shrinkingPages = (largest: number) => {
  let size = largest
  return async <T>(ask: (size: number) => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await ask(size)
      } catch (error) {
        if (size === 1 || !isIntegrationError(error, 'too_large')) throw error
        size = Math.ceil(size / 2)
      }
    }
  }
}

/** Goes on at a remembered page; where the server no longer takes its token (`rejected`), begins as `again` does. */
export const resumePage = async <T>(
  token: string | undefined,
  ask: (token: string | undefined) => Promise<T>,
  again: () => void = () => {},
): Promise<T> => {
  try {
    return await ask(token)
  } catch (error) {
    if (token === undefined || !isIntegrationError(error, 'rejected')) throw error
    again()
    return ask(undefined)
  }
}

const batchBytes = 2 * 1024 * 1024

/** A record with its size in bytes, more or less. */
export interface Sized<Row> {
  readonly row: Row
  readonly size: number
}

/** Cuts records into batches of some two megabytes; what holds once all are stored comes with the last, which may be empty. */
export function* batches<Row>(
  rows: readonly Sized<Row>[],
  last: { readonly checkpoint: Checkpoint; readonly deleted?: readonly Readonly<Record<string, unknown>>[] },
): Generator<Batch<Row>> {
  let records: Row[] = []
  let bytes = 0
  for (const { row, size } of rows) {
    if (bytes + size > batchBytes && records.length > 0) {
      yield { encoding: 'records', records }
      records = []
      bytes = 0
    }
    records.push(row)
    bytes += size
  }
  yield { encoding: 'records', records, ...last }
}
