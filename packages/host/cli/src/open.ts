import { dirname, resolve } from 'node:path'
import { userInfo } from 'node:os'
import type { Access, EcosystemRuntime, Safe } from '@ecokit/server/ecosystem'
import type { Invocation } from './program.ts'
import { errorLine } from './explain.ts'
import { interruptible } from './signals.ts'

/** Who runs the command, for the audit log. */
const user = (): string => {
  try {
    return userInfo().username
  } catch {
    // A user without an entry in the system's list, as in many containers.
    return `uid ${process.getuid?.() ?? 'unknown'}`
  }
}

/** What the audit log says about this command; a server that runs on is an actor of its own. */
export const accessOf = ({ command }: Pick<Invocation, 'command'>): Access =>
  command === 'up'
    ? { actor: 'ecokit up', reason: `started by ${user()}` }
    : { actor: user(), reason: `ecokit ${command}` }

/** Opens the vault and the audit log of what `--file` names, whether that file is right or not. */
export const withSafe = async <T>(
  invocation: Invocation,
  work: (safe: Safe, signal: AbortSignal) => Promise<T>,
): Promise<T> =>
  interruptible(async (signal) => {
    const { openVaultOf } = await import('@ecokit/server/ecosystem')
    const safe = await openVaultOf({ file: resolve(invocation.file), access: accessOf(invocation) })
    try {
      return await work(safe, signal)
    } finally {
      await safe.close()
    }
  })

/** Opens what `--file` names, works with it until that is done or Ctrl-C aborts its signal, and closes it. Relative paths in the file are meant from its own folder, so that is where we go. */
export const withRuntime = async <T>(
  invocation: Invocation,
  work: (runtime: EcosystemRuntime, signal: AbortSignal) => Promise<T>,
): Promise<T> =>
  interruptible(async (signal) => {
    const { file, terminal } = invocation
    const path = resolve(file)
    const [{ openEcosystem }, connectors] = await Promise.all([
      import('@ecokit/server/ecosystem'),
      invocation.connectors(),
    ])
    try {
      process.chdir(dirname(path))
    } catch {
      // A folder that is not there holds no file either, and that is what opening it says.
    }
    const runtime = await openEcosystem({
      file: path,
      connectors,
      access: accessOf(invocation),
      onError: (error) => terminal.note(errorLine(terminal, error)),
    })
    try {
      return await work(runtime, signal)
    } finally {
      await runtime.close()
    }
  })
