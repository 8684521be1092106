import { open, readFile, readdir, rename, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { crc32 } from 'node:zlib'
import { fromJson, integrationError, toJson } from '@ecokit/contracts'
import { z } from 'zod'

export const formats = ['parquet', 'csv', 'ndjson'] as const
export type Format = (typeof formats)[number]
/** File name endings that are read. */
export const endings: Readonly<Record<string, Format>> = {
  '.parquet': 'parquet',
  '.csv': 'csv',
  '.ndjson': 'ndjson',
  '.jsonl': 'ndjson',
}
export const manifestName = '_manifest.json'
/** Where parts are written; a part that the manifest lists is moved out of it. */
export const stagedName = '_staged'
export const lockName = '_lock.duckdb'
/**
 * In a partitioned table parts stand in folders such as `day=2024-01-01`. Committed rows of a part that is being filled wait in the staging folder: `.lines`, lines of NDJSON that become Parquet or are put
 * into such folders; `.rows`, the rows of one commit as Parquet, of which many become one file.
 */
export const partPattern = /^(?:[\w-]+=[^/\\]*\/)*part-\d{6,}(?:-\d+)?\.(?:parquet|csv|ndjson|lines|rows)$/
export const isLines = (file: string): boolean => file.endsWith('.lines')
export const isRows = (file: string): boolean => file.endsWith('.rows')
/** A committed file that is not in its lasting form. */
export const waits = (file: string): boolean => isLines(file) || isRows(file)
/** The name, without ending, of the piece that a file is of. */
export const pieceOf = (file: string): string => /^part-\d+/.exec(path.basename(file))?.[0] ?? ''

// `bytes`: of a part that is still being filled, those that are committed. `crc`: of those bytes, for a disk that gives back something else.
const part = z.strictObject({
  file: z.string().regex(partPattern),
  rows: z.int(),
  bytes: z.int(),
  crc: z.int().optional(),
})
const entry = z.strictObject({ checkpoint: z.record(z.string(), z.unknown()), run: z.string(), at: z.string() })
const schema = z.record(z.string(), z.unknown())
const manifest = z.strictObject({
  version: z.literal(1),
  table: z.string(),
  format: z.enum(formats),
  schema,
  primaryKey: z.array(z.string()),
  /** The number of the next part. */
  next: z.int(),
  parts: z.array(part),
  /** The checkpoint that was committed last, by flow. */
  checkpoints: z.record(z.string(), entry),
  /** An overwrite that has not ended. */
  pass: z.strictObject({ key: z.string(), schema, parts: z.array(part), state: entry.optional() }).optional(),
  /** Over everything else in it. */
  crc: z.int().optional(),
})
export type Part = z.output<typeof part>
export type FolderManifest = z.output<typeof manifest>

/** The folder of a table: letters, digits, `-`, `_` and `.` stand for themselves, all else is percent-encoded as UTF-8, so that no name leaves the folder. */
export const tableFolder = (folder: string, table: string): string => path.join(folder, encodeName(table))
export const encodeName = (name: string): string =>
  [...Buffer.from(name)]
    .map((byte, index) => {
      const character = String.fromCharCode(byte)
      return /[A-Za-z0-9-]/.test(character) || (index > 0 && /[._]/.test(character))
        ? character
        : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')

/** The names in a folder; none when it is not there. */
export const namesIn = async (folder: string): Promise<readonly string[]> => {
  try {
    return (await readdir(folder)).toSorted()
  } catch (thrown) {
    if (hasCode(thrown, 'ENOENT') || hasCode(thrown, 'ENOTDIR')) return []
    throw thrown
  }
}
export const hasCode = (thrown: unknown, code: string): boolean =>
  thrown instanceof Error && 'code' in thrown && thrown.code === code

/** The manifest of a table's folder; undefined when there is none. */
export const readManifest = async (directory: string, partner: string): Promise<FolderManifest | undefined> => {
  const file = path.join(directory, manifestName)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (thrown) {
    if (hasCode(thrown, 'ENOENT') || hasCode(thrown, 'ENOTDIR')) return undefined
    throw thrown
  }
  const broken = (reason: string) =>
    integrationError('invalid_data', {
      partner,
      what: `${file} cannot be read: ${reason}`,
      next: 'Restore it from a copy, or remove the folder and load the table again',
      details: { stream: path.basename(directory), field: manifestName },
    })
  let value: unknown
  try {
    value = fromJson(text)
  } catch {
    throw broken('it is not JSON')
  }
  const parsed = manifest.safeParse(value)
  if (!parsed.success) throw broken(parsed.error.issues[0]?.message ?? 'it is not a manifest')
  const { crc, ...found } = parsed.data
  const { crc: _, ...stored } = value as FolderManifest
  if (crc !== undefined && crc !== crc32(toJson(stored))) throw broken('it is damaged')
  return found
}

/** Reads the first bytes of a file: their checksum, and how many there were. */
const sum = async (handle: FileHandle, bytes: number): Promise<{ readonly crc: number; readonly read: number }> => {
  const chunk = Buffer.allocUnsafe(Math.min(bytes, 4_000_000))
  let [crc, read] = [0, 0]
  while (read < bytes) {
    const { bytesRead } = await handle.read(chunk, 0, Math.min(chunk.length, bytes - read), read)
    if (bytesRead === 0) break
    crc = crc32(chunk.subarray(0, bytesRead), crc)
    read += bytesRead
  }
  return { crc, read }
}
/** Says what is wrong with the bytes of a part; undefined where nothing is. A part without a checksum is judged by its size. */
export const damageOf = async (file: string, { bytes, crc }: Part): Promise<string | undefined> => {
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    if (size < bytes) return `it has ${size} bytes of ${bytes}`
    if (crc === undefined) return undefined
    const found = await sum(handle, bytes)
    if (found.read < bytes) return `it ends at ${found.read} of ${bytes} bytes`
    return found.crc === crc ? undefined : 'its bytes are not those that were written'
  } finally {
    await handle.close()
  }
}
/** Whose table a part belongs to, for what is said about it. */
export interface Owner {
  readonly partner: string
  readonly table: string
}
/** The error for a part that the disk did not keep. */
export const damaged = (file: string, part: Part, { partner, table }: Owner, damage: string) =>
  integrationError('invalid_data', {
    partner,
    what: `table ${table}: ${file} is damaged: ${damage}`,
    next: 'Restore it from a copy, or load the table again with overwrite',
    details: { stream: table, field: part.file },
  })
/** Refuses a part that the disk did not keep. */
export const checkPart = async (file: string, part: Part, about: Owner): Promise<void> => {
  const damage = await damageOf(file, part)
  if (damage !== undefined) throw damaged(file, part, about, damage)
}
/** Makes a file that was written and closed survive a power cut; gives its size and its checksum. */
export const syncFile = async (file: string): Promise<{ readonly bytes: number; readonly crc: number }> => {
  const handle = await open(file, 'r+')
  try {
    await handle.sync()
    const { size } = await handle.stat()
    const { crc } = await sum(handle, size)
    return { bytes: size, crc }
  } finally {
    await handle.close()
  }
}

/** Makes the names in a folder survive a power cut. Windows cannot open folders and does not need it. */
export const syncFolder = async (folder: string): Promise<void> => {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The folders from the one that a file stands in up to `base`, for a name with `/` between. */
export const foldersOf = (name: string): readonly string[] => {
  const parts = name.split('/').slice(0, -1)
  return [...parts.map((_part, index) => parts.slice(0, parts.length - index).join('/')), '']
}
/** Makes the entries that lead from `base` to new files survive a power cut: those of folders that were made for them too. */
export const syncWays = async (base: string, names: readonly string[]): Promise<void> => {
  for (const folder of new Set(names.flatMap(foldersOf))) await syncFolder(path.join(base, folder))
}
/**
 * Replaces the manifest in one step: readers see the old one or the new one, and so does who comes after a power cut. `lasts`: then it is the new one, as it has to be before anything is moved or
 * removed that the old one lists; it costs another sync.
 */
export const writeManifest = async (directory: string, value: FolderManifest, lasts = true): Promise<void> => {
  const temporary = path.join(directory, `${manifestName}.new`)
  const handle = await open(temporary, 'w')
  try {
    await handle.writeFile(`${toJson({ ...value, crc: crc32(toJson(value)) }, 1)}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, path.join(directory, manifestName))
  if (lasts) await syncFolder(directory)
}
