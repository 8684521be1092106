import { randomBytes } from 'node:crypto'
import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** 256 random bits. */
const form = /^[A-Za-z0-9_-]{43}$/

const readOwn = async (path: string): Promise<string | undefined> => {
  try {
    // Windows keeps no such bits; there the folder of the user is the border.
    const open = process.platform !== 'win32' && ((await stat(path)).mode & 0o077) !== 0
    const text = (await readFile(path, 'utf8')).trim()
    return !open && form.test(text) ? text : undefined
  } catch {
    return undefined
  }
}

/** The token in the state folder, so that a console stays logged in over a restart; a new one where there is none, or where others could have read it. */
export const keepToken = async (folder: string): Promise<string> => {
  const path = join(folder, 'token')
  const kept = await readOwn(path)
  if (kept !== undefined) return kept
  const token = randomBytes(32).toString('base64url')
  await rm(path, { force: true })
  await writeFile(path, `${token}\n`, { mode: 0o600, flag: 'wx' })
  await chmod(path, 0o600)
  return token
}
