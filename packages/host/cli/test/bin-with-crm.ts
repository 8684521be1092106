import { openTerminal } from '../src/output/terminal.ts'
import { main } from '../src/program.ts'
import { crm } from './crm.ts'

// The command as it is, with a platform that people log in to.
process.exitCode = await main(process.argv.slice(2), openTerminal(), '0.0.0', () => Promise.resolve([crm]))
