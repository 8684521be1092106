import { readFile } from 'node:fs/promises'
import { withSafe } from '../open.ts'
import { count } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { UsageError, exits } from '../usage.ts'
import { readSecret } from './vault.ts'

interface Asked {
  readonly passphraseStdin: boolean
}
const readPassphrase = ({ terminal }: Invocation, question: string, { passphraseStdin }: Asked, signal: AbortSignal) =>
  readSecret(terminal, question, { stdin: passphraseStdin, flag: '--passphrase-stdin' }, signal)

/** Writes all secrets to standard output, sealed. */
export const exportVault = (invocation: Invocation, options: Asked): Promise<number> =>
  withSafe(invocation, async (safe, signal) => {
    const { terminal } = invocation
    const vault = await safe.vault()
    const passphrase = await readPassphrase(invocation, 'Passphrase (12 characters or more): ', options, signal)
    if (
      !options.passphraseStdin &&
      (await readPassphrase(invocation, 'The same again: ', options, signal)) !== passphrase
    )
      throw new UsageError('the two passphrases are not the same. Run it again')
    const document = await vault.export(passphrase, safe.access)
    await terminal.out(document.endsWith('\n') ? document : `${document}\n`)
    terminal.note('Tokens are left out: log in anew where the secrets go. Without the passphrase nobody opens this.\n')
    return exits.done
  })

/** Takes in what another vault wrote: all of it or nothing. */
export const importVault = (
  invocation: Invocation,
  path: string,
  options: Asked & { readonly overwrite: boolean },
): Promise<number> =>
  withSafe(invocation, async (safe, signal) => {
    const { terminal, json } = invocation
    const vault = await safe.vault()
    const document = await readFile(path, 'utf8').catch((error: unknown) => {
      const code = error instanceof Error && 'code' in error ? String(error.code) : ''
      throw new UsageError(`${path} cannot be read (${code}). Name a file that \`ecokit vault export\` wrote`)
    })
    const passphrase = await readPassphrase(invocation, 'Passphrase: ', options, signal)
    const imported = await vault.import(document, passphrase, safe.access, { overwrite: options.overwrite })
    await terminal.out(json ? `${JSON.stringify({ imported })}\n` : `Imported ${count(imported)} secrets.\n`)
    return exits.done
  })
