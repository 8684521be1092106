export { openAudit } from './audit.ts'
export { verifyExport } from './export.ts'
export { ed25519Signer, ed25519Verifier, hmacSigner } from './signers.ts'
export type {
  Audit,
  AuditEntry,
  AuditOptions,
  Fault,
  ListOptions,
  NewEntry,
  Signer,
  Verdict,
  Verifier,
  VerifyOptions,
} from './types.ts'
