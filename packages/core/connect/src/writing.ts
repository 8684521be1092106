/** For connectors that keep tables, in a database or in files: what such code needs again and again. Nothing in it goes to the network or to a disk. */
export { batchBytes, batcher, linesOf, parseLine, sortDeletes } from './writing/batches.ts'
export { columnTypes, fieldsOf, inlined, nameFault, orNull } from './writing/columns.ts'
export type { PlainType, Typing } from './writing/columns.ts'
export { isWellFormed, jsonText, kindOf, readJson } from './writing/json.ts'
export { cancelled, oneByOne, stopIfAborted } from './writing/order.ts'
export { refusal, refuse } from './writing/refused.ts'
export { identifier, identifiers, literal } from './writing/sql.ts'
