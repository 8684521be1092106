import { mkdir, open, readFile, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** True when the lock was taken; a lock whose process is gone is removed for the next try. */
const takeLock = async (lockFile: string): Promise<boolean> => {
  try {
    const file = await open(lockFile, 'wx')
    await file.writeFile(String(process.pid))
    await file.close()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  const holder = Number(await readFile(lockFile, 'utf8').catch(() => '0'))
  // An empty file is a lock that is being written just now.
  const age = Date.now() - (await stat(lockFile).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs
  if (holder > 0 ? !alive(holder) : age > 5000) await rm(lockFile, { force: true })
  return false
}

/** One process at a time builds what stands in that folder; `what` is said to those who wait. The work must look first whether another has done it. */
export const withLock = async (
  folder: string,
  what: string,
  options: { readonly progress?: (message: string) => void; readonly signal?: AbortSignal | undefined },
  work: () => Promise<void>,
): Promise<void> => {
  const lockFile = `${folder}.lock`
  await mkdir(path.dirname(folder), { recursive: true })
  for (let told = false; !(await takeLock(lockFile)); told = true) {
    if (!told) options.progress?.(`Another process is making ${what}: waiting for it`)
    await sleep(250, undefined, options.signal === undefined ? {} : { signal: options.signal })
  }
  try {
    await work()
  } finally {
    await rm(lockFile, { force: true })
  }
}
