export { connect, connectUnknown, use } from './connect.ts'
export { checkConfig, checkCredentials } from './settings.ts'
export type { CallEvent, Runtime } from './runtime.ts'
export { isIntegrationError } from '@ecokit/contracts'
export type {
  AnyConnection,
  AnyConnector,
  AnyRecord,
  Api,
  Batch,
  CallOptions,
  Checkpoint,
  ConnectAs,
  Connection,
  Connector,
  Discovered,
  ErrorCode,
  Health,
  Http,
  IntegrationError,
  InvalidRecord,
  Manifest,
  ReadOptions,
  WriteOptions,
  Writer,
} from '@ecokit/contracts'
