import { plain } from './table.ts'

const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)

/** One line of CSV (RFC 4180) with its line feed; objects and lists are JSON. An empty text is quoted, so that it is not null. */
export const csvLine = (values: readonly unknown[]): string =>
  `${values.map((value) => (value === '' ? '""' : quoted(plain(value)))).join(',')}\n`
