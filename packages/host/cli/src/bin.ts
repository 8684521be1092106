#!/usr/bin/env node
import { createRequire } from 'node:module'
import { openTerminal } from './output/terminal.ts'
import { main } from './program.ts'

const { version } = createRequire(import.meta.url)('../package.json') as { version: string }

// `ecokit read … | head`: the reader has what it wanted, so there is nothing left to do and nothing to complain about.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})
process.stderr.on('error', () => undefined)

process.exitCode = await main(process.argv.slice(2), openTerminal(), version)
