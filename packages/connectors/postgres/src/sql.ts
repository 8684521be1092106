/** A name for SQL, whatever it holds. */
export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`
/** A text for SQL, whatever it holds; `standard_conforming_strings` is on in every session of ours. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`
/** Names for SQL, with a prefix such as `s.`. */
export const identifiers = (names: readonly string[], prefix = ''): string =>
  names.map((name) => prefix + identifier(name)).join(', ')
/** A table's name for SQL, with its schema. */
export const qualified = (schema: string, table: string): string => `${identifier(schema)}.${identifier(table)}`
