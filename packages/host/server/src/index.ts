export { openServer } from './server.ts'
export type { Server, ServerOptions } from './server.ts'
export { connectorView, openEcosystem, stateFolderOf } from './ecosystem.ts'
export type { ConnectorView, EcosystemRuntime, OpenEcosystem, SyncRequest } from './ecosystem.ts'
