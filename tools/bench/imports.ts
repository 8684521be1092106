// node imports.ts <module>: how long the import of one module takes in a fresh process.
import { report } from './measure.ts'

const [name = ''] = process.argv.slice(2)
await report(async () => {
  await import(name)
  return { count: 1 }
})
process.exit()
