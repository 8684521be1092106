import { crc32 } from 'node:zlib'
import { fromJson, integrationError, isIntegrationError, toJson } from '@ecokit/contracts'
import type { FlowState } from './state.ts'

const ending = /,"crc":(\d+)\}$/
const damaged = 'damaged'

/** A state as text, with a checksum: SQLite has none for its pages, and a changed digit would leave rows out without a word. */
export const seal = (state: FlowState): string => {
  const text = toJson(state)
  return `${text.slice(0, -1)},"crc":${crc32(text)}}`
}

/** What was sealed; throws where the disk gave back something else. */
export const unseal = (text: string, key: string): unknown => {
  const found = ending.exec(text)
  try {
    if (found === null || Number(found[1]) === crc32(`${text.slice(0, found.index)}}`)) return fromJson(text)
  } catch {
    // Not even JSON.
  }
  throw integrationError('unavailable', {
    what: `the checkpoint of ${key} in the state database is damaged`,
    next: 'Run the pipeline once with --full, which reads everything again, and check the disk',
    details: { cause: damaged },
    retryable: false,
  })
}
/** What stands in a row that has no checksum; throws where it cannot be read any more. */
export const stored = <T>(what: string, read: () => T): T => {
  try {
    return read()
  } catch {
    throw integrationError('unavailable', {
      what: `${what} in the state database is damaged`,
      next: 'Put a backup of the file in its place, or move it away, and check the disk',
      details: { cause: damaged },
      retryable: false,
    })
  }
}
export const isDamaged = (error: unknown): boolean =>
  isIntegrationError(error, 'unavailable') && error.details.cause === damaged
