import type { Migration } from 'kysely/migration'
import type { TableDialect } from './engine.ts'
import { first } from './migrations/001-first.ts'
import { shared } from './migrations/002-shared.ts'
import { audit } from './migrations/003-audit.ts'
import { vault } from './migrations/004-vault.ts'
import { partnerPolicy } from './migrations/005-partner-policy.ts'
import { flow } from './migrations/006-flow.ts'
import { expected } from './migrations/007-expected.ts'

/** Every migration by its name, in order; a name is never changed or removed once it was released. */
export const migrations = (dialect: TableDialect): Readonly<Record<string, Migration>> => ({
  '001-first': { up: first(dialect) },
  '002-shared': { up: shared },
  '003-audit': { up: audit(dialect) },
  '004-vault': { up: vault(dialect) },
  '005-partner-policy': { up: partnerPolicy },
  '006-flow': { up: flow(dialect) },
  '007-expected': { up: expected },
})
