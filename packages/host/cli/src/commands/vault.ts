import { addAbortSignal } from 'node:stream'
import { text } from 'node:stream/consumers'
import type { Safe } from '@ecokit/server/ecosystem'
import { withSafe } from '../open.ts'
import { table } from '../output/table.ts'
import type { Terminal } from '../output/terminal.ts'
import type { Invocation } from '../program.ts'
import { UsageError, exits } from '../usage.ts'

interface OfPartner {
  readonly partner?: string
}
const nameOf = (name: string, { partner = '*' }: OfPartner) => {
  // What `${secret:name}` can say; the vault itself takes more.
  if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(name))
    throw new UsageError(`${name} is no name of a secret. Use lower case letters, digits, - and _, up to 64 characters`)
  return { partner, name }
}
const owned = ({ partner }: { readonly partner: string }): string => (partner === '*' ? '' : ` of ${partner}`)

/** A secret from standard input, or from whoever sits at the terminal, unseen. */
export const readSecret = async (
  terminal: Terminal,
  question: string,
  { stdin, flag }: { readonly stdin: boolean; readonly flag: string },
  signal: AbortSignal,
): Promise<string> => {
  if (stdin) return (await text(addAbortSignal(signal, process.stdin))).replace(/\r?\n$/, '')
  if (terminal.askSecret !== undefined) return terminal.askSecret(question, signal)
  throw new UsageError(`there is no terminal to ask at. Add ${flag} and give it on standard input`)
}

/** True where somebody said yes, beforehand or now. */
export const agreed = async ({ ask }: Terminal, what: string, yes: boolean, signal: AbortSignal): Promise<boolean> => {
  if (yes) return true
  if (ask === undefined) throw new UsageError(`${what}. Add --yes if that is meant`)
  return /^y(es)?$/i.test((await ask(`${what}. Go on? [y/N] `, signal)).trim())
}

/** Keeps a secret under a name. */
export const set = (
  invocation: Invocation,
  name: string,
  options: OfPartner & { readonly stage: boolean; readonly stdin: boolean },
): Promise<number> =>
  withSafe(invocation, async (safe, signal) => {
    const { terminal, json } = invocation
    const secret = nameOf(name, options)
    // Before somebody types it: without a key there is no place for it.
    const vault = await safe.vault()
    const value = await readSecret(terminal, `Value of ${name}: `, { stdin: options.stdin, flag: '--stdin' }, signal)
    const version = await vault.put(secret, value, safe.access, { stage: options.stage })
    if (json) await terminal.out(`${JSON.stringify({ ...secret, version, active: !options.stage })}\n`)
    else
      await terminal.out(
        options.stage
          ? `Kept version ${version} of ${name}${owned(secret)}, which is not used yet. Next: ecokit vault activate ${name} ${version}${secret.partner === '*' ? '' : ` --partner ${secret.partner}`}\n`
          : `Kept ${name}${owned(secret)} as version ${version}. In ecosystem.yaml: \${secret:${name}}\n`,
      )
    return exits.done
  })

/** Lists what there is. */
export const list = (invocation: Invocation): Promise<number> =>
  withSafe(invocation, async (safe) => {
    const { terminal, json } = invocation
    const secrets = await (await safe.vault()).list(safe.access)
    const time = (at: number) => new Date(at).toISOString()
    if (json) {
      const shown = secrets.map(({ versions, ...secret }) => ({
        ...secret,
        versions: versions.map((version) => ({ ...version, createdAt: time(version.createdAt) })),
      }))
      await terminal.out(`${JSON.stringify(shown, undefined, 2)}\n`)
    } else if (secrets.length === 0) terminal.note('No secret is kept yet. Keep one with: ecokit vault set <name>\n')
    else
      await terminal.out(
        table(
          [
            { title: 'SECRET', cell: ({ name }) => name },
            { title: 'PARTNER', cell: ({ partner }) => (partner === '*' ? 'any' : partner) },
            { title: 'ACTIVE', cell: ({ versions }) => versions.find(({ active }) => active)?.version, right: true },
            { title: 'VERSIONS', cell: ({ versions }) => versions.map(({ version }) => version).join(', ') },
            {
              title: 'CHANGED',
              cell: ({ versions }) =>
                time(versions[0]?.createdAt ?? 0)
                  .slice(0, 19)
                  .replace('T', ' '),
            },
          ],
          secrets,
          terminal,
        ),
      )
    return exits.done
  })

const done = async ({ terminal, json }: Invocation, about: object, words: string): Promise<number> => {
  await terminal.out(json ? `${JSON.stringify(about)}\n` : `${words}\n`)
  return exits.done
}

const versionsOf = async (safe: Safe, secret: { readonly partner: string; readonly name: string }) =>
  (await (await safe.vault()).versions(secret, safe.access)).map(({ version }) => version)

/** Switches to a version. */
export const activate = (invocation: Invocation, name: string, version: number, options: OfPartner): Promise<number> =>
  withSafe(invocation, async (safe) => {
    const secret = nameOf(name, options)
    const vault = await safe.vault()
    const before = (await vault.versions(secret, safe.access)).find(({ active }) => active)?.version
    await vault.activate(secret, version, safe.access)
    const back =
      before === undefined || before === version
        ? ''
        : ` Back: ecokit vault activate ${name} ${before}${secret.partner === '*' ? '' : ` --partner ${secret.partner}`}`
    return done(
      invocation,
      { ...secret, version, before: before ?? null },
      `Version ${version} of ${name}${owned(secret)} is used from now on.${back}`,
    )
  })

/** Removes a secret or a version. */
export const remove = (
  invocation: Invocation,
  name: string,
  options: OfPartner & { readonly versionNumber?: number; readonly yes: boolean },
): Promise<number> =>
  withSafe(invocation, async (safe, signal) => {
    const secret = nameOf(name, options)
    const version = options.versionNumber
    const what = `${version === undefined ? 'all versions' : `version ${version}`} of ${name}${owned(secret)}`
    const count = (await versionsOf(safe, secret)).length
    if (count > 0 && !(await agreed(invocation.terminal, `This removes ${what} for good`, options.yes, signal)))
      return exits.failed
    await (await safe.vault()).remove(secret, safe.access, version === undefined ? {} : { version })
    return done(invocation, { ...secret, version: version ?? null }, `Removed ${what}.`)
  })
