import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Runs the first `ts` block of a package's README as it stands there, in a process of its own, and gives what it prints.
 * `before` are lines put in front of it, for names that a reader has already (an address, a folder); `test` is the URL of the test that asks.
 */
export const runReadme = (test: string, before = ''): Promise<string> => {
  const folder = fileURLToPath(new URL('..', test))
  const code = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(folder, 'README.md'), 'utf8'))?.[1]
  if (code === undefined) throw new Error(`${folder} has a README without a block of ts`)
  // Inside the package, so that its imports are found as the package's own tests find them.
  const scratch = join(folder, '.cache')
  mkdirSync(scratch, { recursive: true })
  const file = join(scratch, 'readme.ts')
  writeFileSync(file, `${before}\n${code}`)
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [file], { cwd: folder, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      rmSync(file, { force: true })
      if (error === null) resolve(stdout)
      else reject(new Error(`the README's lines failed: ${stderr}${stdout}`))
    })
  })
}
