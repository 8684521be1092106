// node imports.ts <folder> <module>: how long the import of one module that is installed in a folder takes in a fresh process.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { report } from './measure.ts'

const [folder = '', name = ''] = process.argv.slice(2)
const file = pathToFileURL(createRequire(join(folder, 'index.js')).resolve(name)).href
await report(async () => {
  await import(file)
  return { count: 1 }
})
process.exit()
