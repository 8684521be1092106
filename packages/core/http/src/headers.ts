type Pairs = ReturnType<Headers['entries']>
type Names = ReturnType<Headers['keys']>

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** What RFC 9110, 5.5 leaves out. */
const forbidden = /[\0\r\n]|[^\0-\xff]/

/**
 * Headers of a request, as an authorizer edits them: the standard's interface over a plain record. The runtime's own `Headers` costs more for each call than the rest of the signing;
 * a class, because its methods are made once and not for each request.
 */
export class RequestHeaders implements Headers {
  /** Names in lower case. */
  readonly record: Record<string, string>
  constructor(given: Readonly<Record<string, string>>) {
    this.record = { ...given }
  }
  set(name: string, value: string): void {
    const text = value.trim()
    if (!token.test(name) || forbidden.test(text)) throw new TypeError('not a header')
    this.record[name.toLowerCase()] = text
  }
  append(name: string, value: string): void {
    const before = this.get(name)
    this.set(name, before === null ? value : `${before}, ${value}`)
  }
  get(name: string): string | null {
    const key = name.toLowerCase()
    return Object.hasOwn(this.record, key) ? (this.record[key] ?? null) : null
  }
  has(name: string): boolean {
    return Object.hasOwn(this.record, name.toLowerCase())
  }
  delete(name: string): void {
    Reflect.deleteProperty(this.record, name.toLowerCase())
  }
  /** A request has none. */
  getSetCookie(): string[] {
    return []
  }
  /** In the order of the names, as the standard has it. */
  entries(): Pairs {
    return Object.entries(this.record)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .values()
  }
  keys(): Names {
    return Object.keys(this.record).sort().values()
  }
  values(): Names {
    return [...this.entries()].map(([, value]) => value).values()
  }
  forEach(work: (value: string, name: string, headers: Headers) => void): void {
    for (const [name, value] of this.entries()) work(value, name, this)
  }
  [Symbol.iterator](): Pairs {
    return this.entries()
  }
}
