import { dirname, resolve } from 'node:path'
import type { EcosystemRuntime } from '@ecokit/server/ecosystem'
import { loadConnectors } from './connectors.ts'
import type { Invocation } from './program.ts'
import { errorLine } from './explain.ts'
import { interruptible } from './signals.ts'

/** Opens what `--file` names, works with it until that is done or Ctrl-C aborts its signal, and closes it. Relative paths in the file are meant from its own folder, so that is where we go. */
export const withRuntime = async <T>(
  { file, terminal }: Invocation,
  work: (runtime: EcosystemRuntime, signal: AbortSignal) => Promise<T>,
): Promise<T> =>
  interruptible(async (signal) => {
    const path = resolve(file)
    const [{ openEcosystem }, connectors] = await Promise.all([import('@ecokit/server/ecosystem'), loadConnectors()])
    try {
      process.chdir(dirname(path))
    } catch {
      // A folder that is not there holds no file either, and that is what opening it says.
    }
    const runtime = await openEcosystem({
      file: path,
      connectors,
      onError: (error) => terminal.note(errorLine(terminal, error)),
    })
    try {
      return await work(runtime, signal)
    } finally {
      await runtime.close()
    }
  })
