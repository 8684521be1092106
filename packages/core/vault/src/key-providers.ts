import type { Stats } from 'node:fs'
import { link, mkdir, open, rm, stat } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { dirname } from 'node:path'
import { integrationError } from '@ecokit/contracts'
import { badKey, noKey } from './failures.ts'
import { type KeySource, newKeyLine, parseKeys, textKeys } from './keys.ts'
import type { KeyProvider } from './types.ts'

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : '')
/** Windows has no mode bits: the rights of the folder decide there. */
const hasModes = process.platform !== 'win32'

const syncFolder = async (folder: string): Promise<void> => {
  if (!hasModes) return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Makes a key file that only its owner can read, whole or not at all; gives the key's id. Refuses (`conflict`) where there is a file already. */
export const makeKeyFile = async (path: string, now: () => number = Date.now): Promise<string> => {
  const { id, line } = newKeyLine(new Date(now()))
  const folder = dirname(path)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const draft = `${path}.${randomUUID()}`
  try {
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(
        '# Keys of an ecokit vault: whoever has this file and the database reads every secret; without it nobody does.\n' +
          `# Keep a copy in a safe place, never beside the database. The last key is the current one.\n${line}\n`,
      )
      await handle.sync()
    } finally {
      await handle.close()
    }
    // A link never replaces a file that is there.
    await link(draft, path)
    await syncFolder(folder)
  } catch (error) {
    if (codeOf(error) === 'EEXIST')
      throw integrationError('conflict', {
        what: `there is a key file already: ${path}`,
        next: 'Keep it: what the vault holds can be read with that key only. To change the key: ecokit vault rotate',
        details: {},
      })
    throw error
  } finally {
    await rm(draft, { force: true })
  }
  return id
}

/** Changes when the file does, and when another file takes its place. */
const stampOf = ({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string => [dev, ino, size, mtimeMs, ctimeMs].join()

const readWhole = async (path: string, how: string, check: (stats: Stats) => void): Promise<[string, string]> => {
  try {
    const handle = await open(path, 'r')
    try {
      const stats = await handle.stat()
      check(stats)
      return [await handle.readFile('utf8'), stampOf(stats)]
    } finally {
      await handle.close()
    }
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT') throw noKey(`there is no file ${path}`, how)
    if (['EACCES', 'EPERM', 'EISDIR'].includes(code))
      throw badKey(
        `the key file ${path} cannot be read (${code})`,
        'Check its rights: its owner has to run this program',
      )
    throw error
  }
}

const fileSource = (path: string, kind: string, how: string, check: (stats: Stats) => void): KeySource => {
  let seen = ''
  return {
    kind,
    where: path,
    read: async () => {
      const [text, stamp] = await readWhole(path, how, check)
      seen = stamp
      return text
    },
    changed: async () => {
      const now = await stat(path).catch(() => undefined)
      return now === undefined || stampOf(now) !== seen
    },
  }
}

/** Adds a line without touching those that are there, so that two processes that add at once both succeed, and a kill leaves at worst a torn line. */
const addKey = async (path: string, now: () => number): Promise<string> => {
  const { id, line } = newKeyLine(new Date(now()))
  const handle = await open(path, 'a')
  try {
    await handle.writeFile(`\n${line}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  return id
}

/** Overwrites the key where it stands, which may be in a line with others; nothing else in the file moves. */
const destroyLine = async (path: string, keyId: string): Promise<boolean> => {
  let found = false
  const handle = await open(path, 'r+')
  try {
    const bytes = await handle.readFile()
    let at = 0
    for (const part of bytes.toString('latin1').split(/[\n,]/)) {
      if (parseKeys(part).keys.has(keyId)) {
        // With spaces: a sign of a comment would take the rest of its line along.
        await handle.write(Buffer.alloc(part.length, ' '), 0, part.length, at)
        found = true
      }
      at += part.length + 1
    }
    bytes.fill(0)
    await handle.sync()
  } finally {
    await handle.close()
  }
  return found
}

/** Keys in a file of ours: refused where its group or others may read or write it. The last line is the current key; rotation adds a line. */
export const fileKeys = (path: string, now: () => number = Date.now): KeyProvider => {
  const source = fileSource(
    path,
    'file',
    `Put the key back there if this vault has one already; the first key is made by: ecokit init (in code: makeKeyFile)`,
    ({ mode }) => {
      if (hasModes && (mode & 0o077) !== 0)
        throw badKey(
          `the key file ${path} is open to others on this machine (mode ${(mode & 0o777).toString(8)})`,
          `Close it with: chmod 600 ${path}; and rotate the key if somebody may have read it: ecokit vault rotate`,
        )
    },
  )
  return textKeys({
    ...source,
    add: () => addKey(path, now),
    destroy: (keyId) => destroyLine(path, keyId),
  })
}

/** Keys in a file that somebody else puts there (a mounted secret); who may read it is up to them. Read again when it changes. The last line is the current key. */
export const mountedKeys = (path: string): KeyProvider =>
  textKeys(
    fileSource(
      path,
      'mounted',
      'Mount a file with 32 random bytes in base64 there (openssl rand -base64 32)',
      () => {},
    ),
  )

/** Keys in a variable: base64 of 32 bytes, several with commas between them, of which the last is the current one. */
export const environmentKeys = (
  variable: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): KeyProvider => {
  let seen: string | undefined
  return textKeys({
    kind: 'environment',
    where: `the variable ${variable}`,
    read: () => {
      seen = env[variable]
      return seen === undefined || seen.trim() === ''
        ? Promise.reject(
            noKey(
              `the variable ${variable} is not set`,
              `Make one with: export ${variable}=$(openssl rand -base64 32)`,
            ),
          )
        : Promise.resolve(seen)
    },
    changed: () => Promise.resolve(env[variable] !== seen),
  })
}
