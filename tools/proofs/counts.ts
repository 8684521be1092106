import { readFileSync, writeFileSync, writeSync } from 'node:fs'

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

const everyMs = 15_000
/** Counts what a proof has done, and tells it on standard error every quarter of a minute; says nothing in the test command. */
export const progressOf = (what: string, of: number): (() => void) => {
  const since = Date.now()
  let toldAt = since
  let done = 0
  return () => {
    done += 1
    const now = Date.now()
    if ((process.env['ECOKIT_PROOF_COUNTS'] ?? '') === '' || (done < of && now - toldAt < everyMs)) return
    toldAt = now
    const left = Math.ceil((((now - since) / done) * (of - done)) / 60_000)
    // Past the test runner, which keeps what a test prints until it has ended.
    writeSync(2, `${what}: ${done} of ${of} (${Math.floor((done / of) * 100)} %), about ${left} min left\n`)
  }
}
