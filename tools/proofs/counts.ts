import { readFileSync, writeFileSync } from 'node:fs'

/** Hands counts over to `pnpm prove`, which writes them into the proof's JSON; those that were handed over before stay. Does nothing in the test command. */
export const handOverCounts = (counts: Readonly<Record<string, unknown>>): void => {
  const file = process.env['ECOKIT_PROOF_COUNTS']
  if (file === undefined || file === '') return
  let before: object = {}
  try {
    before = JSON.parse(readFileSync(file, 'utf8')) as object
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  writeFileSync(file, `${JSON.stringify({ ...before, ...counts }, undefined, 2)}\n`)
}
