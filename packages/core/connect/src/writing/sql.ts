/** A name for SQL, whatever it holds. */
export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`
/** A text for SQL, whatever it holds, where backslashes stand for themselves: in DuckDB, and in PostgreSQL with `standard_conforming_strings`. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`
/** Names for SQL, with a prefix such as `s.`. */
export const identifiers = (names: readonly string[], prefix = ''): string =>
  names.map((name) => prefix + identifier(name)).join(', ')
