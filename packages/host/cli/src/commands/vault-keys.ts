import { withSafe } from '../open.ts'
import { table } from '../output/table.ts'
import { count } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { exits } from '../usage.ts'
import { agreed } from './vault.ts'

/** Milliseconds between two lines about the same step in a pipe. */
const pipeEveryMs = 5_000

/** Changes the keys; what was begun before is brought to its end. */
export const rotate = (
  invocation: Invocation,
  options: { readonly key: boolean; readonly dataKeys: boolean },
): Promise<number> =>
  withSafe(invocation, async (safe, signal) => {
    const { terminal, json } = invocation
    const vault = await safe.vault()
    let told = -Infinity
    const both = options.key === options.dataKeys
    const rotated = await vault.rotate(
      {
        keyEncryptionKey: both || options.key,
        dataKeys: both || options.dataKeys,
        signal,
        onProgress: ({ step, done, total }) => {
          const now = performance.now()
          if (!terminal.live && now - told < pipeEveryMs && done < total) return
          told = now
          const line = `${step === 'data_keys' ? 'records sealed anew' : 'data keys wrapped anew'}: ${count(done)} of ${count(total)}`
          terminal.note(terminal.live ? `\r\u001b[2K${line}` : `${line}\n`)
        },
      },
      safe.access,
    )
    if (terminal.live) terminal.note('\r\u001b[2K')
    if (json) {
      await terminal.out(`${JSON.stringify(rotated, undefined, 2)}\n`)
      return exits.done
    }
    const { keyEncryptionKey: outer, dataKeys: inner } = rotated
    const old = [...(outer?.from ?? []), ...(inner?.from ?? [])]
    const lines = [
      outer === undefined
        ? undefined
        : outer.made
          ? `The key-encryption key is ${outer.to} now; ${count(outer.rewrapped)} data keys were wrapped anew. Keep a copy of the key in a safe place.`
          : `The key-encryption key ${outer.to} was not made by this; ${count(outer.rewrapped)} data keys were wrapped anew.`,
      inner === undefined
        ? undefined
        : `The data key is ${inner.to} now; ${count(inner.moved)} records were sealed anew.${inner.resumed ? ' An interrupted rotation was brought to its end: run it again for a new key.' : ''}`,
      ...(inner?.unreadable ?? []).map(
        ({ partner, name, version }) => `damaged: ${name} of ${partner}, version ${version}; set it again`,
      ),
      ...old.map((key) => `Nothing needs ${key} any more: ecokit vault destroy ${key}`),
    ]
    await terminal.out(lines.map((line) => (line === undefined ? '' : `${line}\n`)).join(''))
    return (inner?.unreadable.length ?? 0) === 0 ? exits.done : exits.failed
  })

/** Destroys a key for good. */
export const destroy = (invocation: Invocation, key: string, options: { readonly yes: boolean }): Promise<number> =>
  withSafe(invocation, async (safe, signal) => {
    const { terminal, json } = invocation
    const vault = await safe.vault()
    if (
      !(await agreed(
        terminal,
        `This destroys the key ${key}, and with it what only old copies of the database hold`,
        options.yes,
        signal,
      ))
    )
      return exits.failed
    await vault.destroyKey(key, safe.access)
    await terminal.out(json ? `${JSON.stringify({ destroyed: key })}\n` : `Destroyed ${key}.\n`)
    return exits.done
  })

/** Shows the keys and what they hold, never a key itself. */
export const status = (invocation: Invocation): Promise<number> =>
  withSafe(invocation, async (safe) => {
    const { terminal, json } = invocation
    const { paint } = terminal
    const seen = await (await safe.vault()).status()
    const dataKeys = seen.dataKeys.map((key) => ({ ...key, createdAt: new Date(key.createdAt).toISOString() }))
    if (json) {
      await terminal.out(`${JSON.stringify({ ...seen, dataKeys }, undefined, 2)}\n`)
      return exits.done
    }
    const { provider, current } = seen.keyEncryptionKey
    await terminal.out(
      `${paint('bold', 'Key-encryption key')}  ${current} (${provider})\n${count(seen.secrets)} secrets, ${count(seen.tokens)} tokens and keys of ecokit's own\n\n${table(
        [
          { title: 'DATA KEY', cell: ({ id }) => id },
          { title: 'STATE', cell: ({ state }) => state, shade: ({ state }) => (state === 'active' ? 'green' : 'dim') },
          { title: 'WRAPPED BY', cell: ({ keyEncryptionKey }) => keyEncryptionKey },
          { title: 'RECORDS', cell: ({ records }) => count(records), right: true },
          { title: 'USES', cell: ({ uses }) => count(uses), right: true },
          { title: 'MADE', cell: ({ createdAt }) => createdAt.slice(0, 19).replace('T', ' ') },
        ],
        dataKeys,
        terminal,
      )}`,
    )
    return exits.done
  })
