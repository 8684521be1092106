export type { Database, NewRow, Row } from './schema.ts'
export { openStore, type Store, type StoreOptions } from './store.ts'
