// Runs a Node program in this process until standard input closes, which also happens when the caller dies.
// Usage: serve.mjs PROGRAM [ARGUMENT...]
import { pathToFileURL } from 'node:url'

const [program = ''] = process.argv.splice(2, 1)
process.argv[1] = program
process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0))
process.stdin.resume()
await import(pathToFileURL(program).href)
