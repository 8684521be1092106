#!/usr/bin/env node
import { createRequire } from 'node:module'
import { openTerminal } from './output/terminal.ts'
import { main } from './program.ts'
import { exits } from './usage.ts'

const { version } = createRequire(import.meta.url)('../package.json') as { version: string }
const terminal = openTerminal()

const fatal = (error: unknown): void => {
  void import('./explain.ts').then(({ errorLine }) => {
    terminal.note(errorLine(terminal, error))
    process.exit(exits.failed)
  })
}
process.on('uncaughtException', fatal)
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // `ecokit read … | head`: the reader has what it wanted, so there is nothing left to do and nothing to complain about.
  if (error.code === 'EPIPE') process.exit(exits.done)
  fatal(error)
})
process.stderr.on('error', () => undefined)

// An older one fails somewhere inside with words about built-in modules.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  terminal.note(`error: ecokit needs Node 22.19 or newer, and this is ${process.versions.node}. Install a newer one\n`)
  process.exit(exits.usage)
}

process.exitCode = await main(process.argv.slice(2), terminal, version)
