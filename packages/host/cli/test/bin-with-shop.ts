import { local } from '@ecokit/connector-local'
import { shopOf } from '../../server/test/shop.ts'
import { openTerminal } from '../src/output/terminal.ts'
import { main } from '../src/program.ts'

// The command as it is, with a shop whose orders have a note in a later version.
const shop = shopOf({ note: process.env['SHOP_NOTE'] !== undefined })
process.exitCode = await main(process.argv.slice(2), openTerminal(), '0.0.0', () => Promise.resolve([shop, local]))
