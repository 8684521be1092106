/** A process that ends every life at once. */
import { createInterface } from 'node:readline'

console.log('ready')
for await (const _ of createInterface({ input: process.stdin })) console.log(JSON.stringify({ wrong: '' }))
