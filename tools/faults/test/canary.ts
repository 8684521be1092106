import { cores, formsOf, randomOf } from '../index.ts'
import { gunzipSync } from 'node:zlib'
import { inspect } from 'node:util'
import { vi } from 'vitest'

/** A secret that can be searched for, with characters that each encoding writes in its own way. */
export const canaryWord = (seed: number): string => {
  const random = randomOf(seed)
  const letters = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789'
  const text = Array.from({ length: 22 }, () => letters[Math.floor(random() * letters.length)]).join('')
  // Visible ASCII only: header credentials take no more. Quote, backslash, plus, slash, percent and ampersand are escaped somewhere.
  const marks = ['"', '\\', '+', '/', '%', '&', '=', "'"]
  const mark = marks[seed % marks.length] ?? '+'
  return `cnry${text.slice(0, 11)}${mark}${text.slice(11)}`
}

/** Every text in a value, as it is: inspecting it and writing it as JSON both escape. */
const leaves = (value: unknown, seen: Set<unknown>, out: string[]): void => {
  if (typeof value === 'string') out.push(value)
  if (typeof value !== 'object' || value === null || seen.has(value) || ArrayBuffer.isView(value)) return
  seen.add(value)
  for (const [name, { value: held }] of Object.entries(Object.getOwnPropertyDescriptors(value))) {
    out.push(name)
    leaves(held, seen, out)
  }
}

/** Everything that a thing shows of itself, as text. */
export const shown = (value: unknown): string => {
  if (typeof value === 'string') return value
  const parts: string[] = []
  const seen = new Set<unknown>()
  for (let error = value; error instanceof Error && !seen.has(error); error = error.cause) {
    seen.add(error)
    parts.push(error.message, error.stack ?? '')
  }
  leaves(value, new Set(), parts)
  let json = ''
  try {
    // Undefined for what has no JSON.
    json = JSON.stringify(value, (_, item: unknown) => (typeof item === 'bigint' ? String(item) : item))
  } catch {
    // What cannot be written as JSON is inspected.
  }
  return [
    ...parts,
    inspect(value, { depth: 10, showHidden: true, maxStringLength: Infinity, maxArrayLength: Infinity }),
    json,
  ].join('\n')
}
/** Bytes as text, and what is packed in them unpacked. */
export const bytesShown = (bytes: Buffer): string => {
  const parts = [bytes.toString('latin1'), bytes.toString('utf8')]
  for (let at = bytes.indexOf('1f8b08', 0, 'hex'); at >= 0; at = bytes.indexOf('1f8b08', at + 1, 'hex'))
    try {
      parts.push(gunzipSync(bytes.subarray(at)).toString('utf8'))
    } catch {
      // Three bytes that look like the beginning of a packed text.
    }
  return parts.join('\n')
}

/** How every secret made here begins, in each encoding: a text without one of these holds none of them, which is quicker to see. */
const marks = ['cnry', '636e7279', '636E7279', ...cores('cnry')]

/** Collects what comes out, by the place where it came out, and finds planted secrets in it. */
export const openSearch = () => {
  const planted = new Map<string, string>()
  const unmarked: string[] = []
  const sizes: Record<string, number> = {}
  const found = new Set<string>()
  return {
    plant: (secret: string, where: string): void => {
      for (const form of formsOf(secret)) {
        planted.set(form, where)
        if (!secret.startsWith('cnry')) unmarked.push(form)
      }
    },
    /** Looks at once, so nothing has to be kept. */
    saw: (place: string, value: unknown): void => {
      const text = Buffer.isBuffer(value) ? bytesShown(value) : shown(value)
      sizes[place] = (sizes[place] ?? 0) + text.length
      if (!marks.some((mark) => text.includes(mark)) && !unmarked.some((form) => text.includes(form))) return
      for (const [form, where] of planted)
        if (text.includes(form))
          found.add(
            `${place} shows ${where} as ${form}: ${text.slice(Math.max(0, text.indexOf(form) - 80), text.indexOf(form) + 60)}`,
          )
    },
    /** How much was searched, in characters by place. */
    sizes,
    /** One sentence for each planted secret that came out. */
    found: (): readonly string[] => [...found],
  }
}
export type Search = ReturnType<typeof openSearch>

/** What is written to standard output and error while the work goes on. */
export const listening = async <T>(search: Search, work: () => Promise<T>): Promise<T> => {
  const spies = [
    ...(['stdout', 'stderr'] as const).map((name) =>
      vi.spyOn(process[name], 'write').mockImplementation((chunk) => {
        search.saw(name, String(chunk))
        return true
      }),
    ),
    ...(['log', 'info', 'warn', 'error', 'debug', 'trace'] as const).map((name) =>
      vi.spyOn(console, name).mockImplementation((...said: unknown[]) => {
        for (const one of said) search.saw('console', one)
      }),
    ),
  ]
  try {
    return await work()
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}
