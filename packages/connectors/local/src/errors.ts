import { cancelled } from '@ecokit/connect/writing'
import { integrationError, isIntegrationError } from '@ecokit/contracts'
import type { IntegrationError } from '@ecokit/contracts'

// "IO Error: Could not set lock on file "…": Conflicting lock is held in /usr/bin/node (PID 1234) by user x. See also …" (DuckDB 1.5.6)
const lockPattern = /Could not set lock on file|Conflicting lock|being used by another process/
/** Who holds the file, where an error says that somebody does. */
export const lockHolder = (thrown: unknown): string | undefined => {
  if (!(thrown instanceof Error) || !lockPattern.test(thrown.message)) return undefined
  const holder = /held in (.+?) \(PID (\d+)\)/.exec(thrown.message)
  return holder === null ? 'another process' : `process ${holder[2] ?? ''} (${holder[1] ?? ''})`
}

const systemCode = (thrown: Error): string | undefined =>
  'code' in thrown && typeof thrown.code === 'string'
    ? thrown.code
    : /no space left|disk quota|file too large/i.test(thrown.message)
      ? 'ENOSPC'
      : /permission denied|operation not permitted|read-only/i.test(thrown.message)
        ? 'EACCES'
        : /too many open files/i.test(thrown.message)
          ? 'EMFILE'
          : /input\/output error|fsync failed/i.test(thrown.message)
            ? 'EIO'
            : undefined

// What DuckDB 1.5.6 says of a file whose bytes are not those that it wrote.
const damagedPattern =
  /Corrupt (?:database|WAL) file|does not match stored checksum|Could not read enough bytes|Failure while replaying WAL|Failed to deserialize|Serialization Error|No magic bytes found|Invalid Input Error: .*(?:parquet|footer)/i

/** What DuckDB or the file system threw, as an error of ours. */
export const databaseError = (
  thrown: unknown,
  about: { readonly partner: string; readonly what: string },
): IntegrationError => {
  if (isIntegrationError(thrown)) return thrown
  const text = thrown instanceof Error ? (thrown.message.split('\n')[0] ?? '') : String(thrown)
  const { partner } = about
  const what = `${about.what}: ${text}`
  const code = thrown instanceof Error ? systemCode(thrown) : undefined
  if (text.startsWith('INTERRUPT')) return cancelled(partner)
  if (code === 'ENOSPC' || code === 'EFBIG' || code === 'EDQUOT' || code === 'EIO')
    return integrationError('unavailable', {
      partner,
      what,
      next: 'Free space on the disk, then try again: what was committed is safe',
      details: { cause: code },
    })
  if (code === 'EMFILE' || code === 'ENFILE')
    return integrationError('unavailable', {
      partner,
      what,
      next: 'Raise the limit of open files (ulimit -n), or run less at once, then try again: what was committed is safe',
      details: { cause: code },
    })
  if (damagedPattern.test(text))
    return integrationError('unavailable', {
      partner,
      what,
      next: 'The file is damaged: put a copy in its place, or remove it and load its tables again (a _lock.duckdb holds no data)',
      details: { cause: 'damaged' },
      retryable: false,
    })
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return integrationError('forbidden', {
      partner,
      what,
      next: 'Give this user the right to write there',
      details: {},
    })
  if (code === 'ENOENT') return integrationError('not_found', { partner, what, details: {} })
  if (code !== undefined && ['ENOTDIR', 'EEXIST', 'EISDIR', 'ENAMETOOLONG'].includes(code))
    return integrationError('invalid_config', {
      partner,
      what,
      next: 'Choose another path',
      details: { field: 'config' },
    })
  if (
    /not a valid DuckDB database file|newer version of DuckDB|opens it as data|Extension .* not found|Trying to read a database file/i.test(
      text,
    )
  )
    return integrationError('invalid_config', {
      partner,
      what,
      next: 'Choose another path',
      details: { field: 'config.database' },
    })
  if (text.startsWith('Constraint Error')) return integrationError('rejected', { partner, what, details: {} })
  if (/^(?:Catalog|Binder) Error/.test(text)) return integrationError('rejected', { partner, what, details: {} })
  return integrationError('internal', { partner, what, details: {} })
}
