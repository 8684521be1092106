export { environmentKeys, fileKeys, makeKeyFile, mountedKeys } from './key-providers.ts'
export type {
  Access,
  AccessRequest,
  Auditor,
  KeyProvider,
  RotateOptions,
  RotateProgress,
  Rotated,
  SecretEntry,
  SecretName,
  SecretVersion,
  Vault,
  VaultAction,
  VaultOptions,
  VaultStatus,
} from './types.ts'
export { openVault } from './vault.ts'
