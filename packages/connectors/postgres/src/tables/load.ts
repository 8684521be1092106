import { isAboutRows } from '../errors.ts'
import { chunksOf } from './stage.ts'
import type { Session } from '../client.ts'
import type { Rejected, Row } from '../rows.ts'

/**
 * Copies rows. Where the server refuses some (a constraint of somebody's table, a value that its type does not take), it looks for them by halves, so that the others are stored.
 * `inside`: a transaction is open, which a refusal would end. `tail` follows each row's text.
 */
export const load = async (
  session: Session,
  copy: string,
  rows: readonly Row[],
  { inside, tail }: { readonly inside: boolean; readonly tail: (place: number) => string },
): Promise<readonly Rejected[]> => {
  const rejected: Rejected[] = []
  const attempt = async (part: readonly Row[], from: number): Promise<void> => {
    if (part.length === 0) return
    if (inside) await session.run('SAVEPOINT ecokit_load')
    try {
      await session.copyIn(
        copy,
        chunksOf(part, (index) => tail(from + index)),
      )
      if (inside) await session.run('RELEASE SAVEPOINT ecokit_load')
      return
    } catch (thrown) {
      if (!isAboutRows(thrown)) throw thrown
      if (inside) await session.run('ROLLBACK TO SAVEPOINT ecokit_load')
      const [only] = part
      if (part.length === 1 && only !== undefined) {
        const reason = thrown instanceof Error ? (thrown.message.split('\n')[0] ?? '') : ''
        rejected.push({ index: only.index, reason: reason.slice(0, 500) })
        return
      }
    }
    const middle = Math.ceil(part.length / 2)
    await attempt(part.slice(0, middle), from)
    await attempt(part.slice(middle), from + middle)
  }
  await attempt(rows, 0)
  return rejected
}

/** Copies rows that are made already; false, with nothing changed, where the server refuses some of them. */
export const loadBytes = async (
  session: Session,
  copy: string,
  bytes: Uint8Array,
  inside: boolean,
): Promise<boolean> => {
  if (inside) await session.run('SAVEPOINT ecokit_load')
  try {
    await session.copyIn(copy, [bytes])
  } catch (thrown) {
    if (!isAboutRows(thrown)) throw thrown
    if (inside) await session.run('ROLLBACK TO SAVEPOINT ecokit_load')
    return false
  }
  if (inside) await session.run('RELEASE SAVEPOINT ecokit_load')
  return true
}
