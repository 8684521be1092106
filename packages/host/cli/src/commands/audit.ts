import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { withSafe } from '../open.ts'
import { table } from '../output/table.ts'
import { count } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { UsageError, exits } from '../usage.ts'

/** Milliseconds between two lines of progress in a pipe. */
const pipeEveryMs = 5_000

const linesOf = async function* (path: string): AsyncGenerator<string> {
  try {
    yield* createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Infinity })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    throw new UsageError(`${path} cannot be read (${code}). Name a file that \`ecokit audit export\` wrote`)
  }
}

/** Looks at every entry; 1 where the log is not what was written. */
export const verify = (invocation: Invocation, path: string | undefined): Promise<number> =>
  withSafe(invocation, async (safe, signal) => {
    const { terminal, json } = invocation
    let told = -Infinity
    const onProgress = ({ entries, of }: { readonly entries: number; readonly of?: number }) => {
      const now = performance.now()
      if (now - told < (terminal.live ? 100 : pipeEveryMs)) return
      told = now
      const line = `${count(entries)}${of === undefined ? '' : ` of ${count(of)}`} entries`
      terminal.note(terminal.live ? `\r\u001b[2K${line}` : `${line}\n`)
    }
    const signer = await safe.signer()
    const verdict =
      path === undefined
        ? await (await safe.audit()).verify({ signal, onProgress })
        : await (await import('@ecokit/server/ecosystem')).verifyExport(linesOf(path), signer, { signal, onProgress })
    if (terminal.live) terminal.note('\r\u001b[2K')
    const headAt = verdict.ok && verdict.headAt !== undefined ? new Date(verdict.headAt).toISOString() : undefined
    if (json) await terminal.out(`${JSON.stringify(headAt === undefined ? verdict : { ...verdict, headAt })}\n`)
    else if (!verdict.ok) {
      await terminal.out(`${terminal.paint('red', verdict.kind)} at position ${verdict.position}: ${verdict.what}\n`)
    } else {
      const signed =
        signer === undefined
          ? ' The key of the vault is not here, so only the hashes were checked and no signature.'
          : verdict.signedFrom === undefined && verdict.entries > 0
            ? ' Nothing in it is signed: either it was written before there was a key, or somebody rewrote it as a whole.'
            : ''
      await terminal.out(
        `${terminal.paint('green', 'unbroken')}: ${count(verdict.entries)} entries${headAt === undefined ? '' : `, the newest of ${headAt}`}.${signed}\n`,
      )
    }
    if (!verdict.ok)
      terminal.note(
        path === undefined
          ? 'Copy the state folder before anything else is run, and compare with an export that was kept elsewhere.\n'
          : 'Is it whole, and as `ecokit audit export` wrote it? Compare with the log itself: ecokit audit verify\n',
      )
    return verdict.ok ? exits.done : exits.failed
  })

export interface ListOptions {
  readonly limit: number
  readonly before?: number
  readonly actor?: string
  readonly action?: string
  readonly target?: string
}

/** Lists entries, newest first. */
export const list = (invocation: Invocation, options: ListOptions): Promise<number> =>
  withSafe(invocation, async (safe) => {
    const { terminal, json } = invocation
    const { limit, before, actor, action, target } = options
    const entries = await (
      await safe.audit()
    ).list({
      limit,
      ...(before === undefined ? {} : { before }),
      ...(actor === undefined ? {} : { actor }),
      ...(action === undefined ? {} : { action }),
      ...(target === undefined ? {} : { target }),
    })
    const shown = entries.map((entry) => ({ ...entry, at: new Date(entry.at).toISOString() }))
    if (json) await terminal.out(`${JSON.stringify(shown, undefined, 2)}\n`)
    else
      await terminal.out(
        table(
          [
            { title: 'POSITION', cell: ({ position }) => position, right: true },
            { title: 'AT', cell: ({ at }) => at.slice(0, 19).replace('T', ' ') },
            { title: 'WHO', cell: ({ actor }) => actor },
            { title: 'WHAT', cell: ({ action }) => action },
            { title: 'TO', cell: ({ target }) => target },
            {
              title: 'OUTCOME',
              cell: ({ outcome }) => outcome,
              shade: ({ outcome }) => (outcome === 'allowed' ? undefined : 'yellow'),
            },
            { title: 'WHY', cell: ({ reason }) => reason },
          ],
          shown,
          terminal,
        ),
      )
    return exits.done
  })

/** Writes the whole log, one entry in a line. */
export const exportLog = (invocation: Invocation): Promise<number> =>
  withSafe(invocation, async (safe, signal) => {
    for await (const line of (await safe.audit()).export()) {
      signal.throwIfAborted()
      await invocation.terminal.out(`${line}\n`)
    }
    return exits.done
  })
