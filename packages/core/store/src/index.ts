export { locked } from './lock.ts'
export type { Database, NewRow, Row } from './schema.ts'
export { openShared } from './shared.ts'
export { openStore, type Store, type StoreOptions } from './store.ts'
