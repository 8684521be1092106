import { appendFileSync, createReadStream, existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { HeadText } from './heads.ts'

/**
 * The file beside the database in which every head is written down once more. It is a lower bound of how far the log went: a line may be missing after a crash,
 * and a line that was cut off then is passed over, which takes no more away than deleting it would.
 */
export const appendHead = (file: string, { head, signature }: HeadText): void => {
  appendFileSync(file, `${JSON.stringify({ head, signature })}\n`, { mode: 0o600 })
}

/** The heads in the file, a few hundred at a time. */
export async function* outsideHeads(file: string): AsyncGenerator<readonly Partial<HeadText>[]> {
  if (!existsSync(file)) return
  let some: Partial<HeadText>[] = []
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    try {
      some.push(JSON.parse(line) as Partial<HeadText>)
    } catch {
      continue
    }
    if (some.length < 500) continue
    yield some
    some = []
  }
  yield some
}
