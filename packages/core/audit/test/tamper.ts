import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { onTestFinished } from 'vitest'

/** Somebody with the file and any SQLite tool: past the triggers, and able to put everything back. */
export interface Tamper {
  run(statement: string, ...values: SQLInputValue[]): void
  rows(query: string): readonly Readonly<Record<string, SQLInputValue>>[]
  /** Remembers the log as it is now. */
  remember(): void
  /** Puts the log back to what was remembered. */
  restore(): void
}

const tables = ['audit_entries', 'audit_heads', 'audit_newest']

export const tamper = (file: string): Tamper => {
  const database = new DatabaseSync(file)
  onTestFinished(() => database.close())
  database.exec('PRAGMA synchronous = OFF')
  // The derived columns would refuse what is no JSON; somebody who changes the file's bytes is not asked.
  const guards = "SELECT type, name FROM sqlite_schema WHERE type = 'trigger' OR name LIKE 'audit_entries_%'"
  for (const { type, name } of database.prepare(guards).all()) database.exec(`DROP ${String(type)} ${String(name)}`)
  for (const column of ['at', 'tenant', 'actor', 'action', 'target', 'outcome'])
    database.exec(`ALTER TABLE audit_entries DROP COLUMN ${column}`)
  const columns = new Map<string, string>()
  for (const table of tables) {
    const names = database.prepare(`PRAGMA table_info(${table})`).all()
    columns.set(table, names.map(({ name }) => String(name)).join(', '))
  }
  const each = (statements: (table: string, names: string) => readonly string[]): void => {
    const all = tables.flatMap((table) => statements(table, columns.get(table) ?? ''))
    database.exec(['BEGIN IMMEDIATE', ...all, 'COMMIT'].join(';'))
  }
  return {
    run: (statement, ...values) => void database.prepare(statement).run(...values),
    rows: (query) => database.prepare(query).all(),
    remember: () => {
      each((table, names) => [
        `DROP TABLE IF EXISTS temp.kept_${table}`,
        `CREATE TEMP TABLE kept_${table} AS SELECT ${names} FROM main.${table}`,
      ])
    },
    restore: () => {
      each((table, names) => [
        `DELETE FROM main.${table}`,
        `INSERT INTO main.${table} (${names}) SELECT ${names} FROM temp.kept_${table}`,
      ])
    },
  }
}
