import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { stateFolderOf } from '@ecokit/server/ecosystem'
import { withRuntime } from '../open.ts'
import { healthShade } from '../output/health.ts'
import { visible } from '../output/text.ts'
import type { Invocation } from '../program.ts'
import { keepToken } from '../token.ts'
import { errorLine } from '../explain.ts'
import { exits } from '../usage.ts'

export interface UpOptions {
  readonly host?: string
  readonly port?: number
}

/** Removes server.json, unless another process has put its own there. */
const removeOwn = async (path: string): Promise<void> => {
  const text = await readFile(path, 'utf8').catch(() => '{}')
  if ((JSON.parse(text) as { pid?: number }).pid === process.pid) await rm(path, { force: true })
}

/** Serves until it is stopped. */
export const up = async (invocation: Invocation, { host, port }: UpOptions): Promise<number> => {
  const { terminal, json, version } = invocation
  const folder = stateFolderOf(resolve(invocation.file))
  const { paintNote } = terminal
  return withRuntime(invocation, async (runtime, signal) => {
    const [{ openServer }, { consoleDirectory }] = await Promise.all([
      import('@ecokit/server'),
      import('@ecokit/console'),
    ])
    const token = await keepToken(folder)
    runtime.health.onChange(({ partner, to, health }) => {
      const why = health.message === undefined ? '' : ` (${visible(health.message)})`
      terminal.note(`${partner} is ${paintNote(healthShade[to], to)}${why}\n`)
    })
    // Changes are told as they come; what was wrong before and still is would never be one.
    const known = new Set((await runtime.registry.list()).map(({ name }) => name))
    for (const { partner, status, message } of await runtime.health.states())
      if (status !== 'healthy' && known.has(partner))
        terminal.note(
          `${partner} was ${paintNote(healthShade[status], status)} when it was last checked${message === undefined ? '' : ` (${visible(message)})`}\n`,
        )
    const server = await openServer({
      runtime,
      host,
      port,
      token,
      consoleDirectory,
      version,
      onError: (error) => terminal.note(errorLine(terminal, error)),
    })
    const file = join(folder, 'server.json')
    try {
      await writeFile(file, `${JSON.stringify({ url: server.url, pid: process.pid })}\n`, { mode: 0o600 })
      const link = `${server.url}/?token=${token}`
      if (json) await terminal.out(`${JSON.stringify({ url: server.url, link, pid: process.pid })}\n`)
      else await terminal.out(`Console: ${terminal.paint('cyan', link)}\nPress Ctrl-C to stop.\n`)
      if (!signal.aborted) await once(signal, 'abort')
      terminal.note('Stopping; once more to stop at once.\n')
      return exits.done
    } finally {
      await server.close()
      await removeOwn(file)
    }
  })
}
