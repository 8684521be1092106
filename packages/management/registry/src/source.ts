import { isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml'
import type { Node } from 'yaml'

export type Path = readonly (string | number)[]

/** Something wrong in `ecosystem.yaml`, and exactly where. Lines and columns count from 1 in UTF-16 units, as editors do; the end is exclusive. */
export interface Problem {
  /** Dotted path of the field (`partners.mlflow.config.trackingUri`); empty where the text itself is broken. */
  readonly field: string
  /** What is wrong and what to do about it. */
  readonly message: string
  readonly line: number
  readonly column: number
  readonly endLine: number
  readonly endColumn: number
  /** Where a secret that stands in clear should be kept instead: its name in the vault, and the partner that it belongs to; none where several may use it. */
  readonly secret?: { readonly name: string; readonly partner?: string }
}

interface Span {
  readonly key?: readonly [number, number]
  readonly value: readonly [number, number]
}

/** A text that was read: its plain value, and where each part of it stands. */
export interface Source {
  readonly value: unknown
  readonly problems: readonly Problem[]
  /** The problem at this path: at the value, at the key (`key`), or at the nearest parent's key where the path does not exist. */
  locate(path: Path, message: string, at?: 'key' | 'value'): Problem
}

// An ecosystem of a thousand partners has about 300,000 characters and 30,000 nodes.
const maxLength = 1024 * 1024
const maxNodes = 100_000
const maxDepth = 64

class Refused extends Error {
  readonly path: Path
  constructor(message: string, path: Path) {
    super(message)
    this.path = path
  }
}

const keyOf = (path: Path): string => JSON.stringify(path)

/** The parser's words without what it quotes: a broken text may be a secret that was meant to be a value. */
const syntaxMessage = ({ code, message }: { readonly code: string; readonly message: string }): string => {
  if (code === 'RESOURCE_EXHAUSTION') return 'nested too deeply'
  if (code === 'MULTIPLE_DOCS') return 'one file holds one ecosystem; remove what follows `---`'
  if (code === 'TAG_RESOLVE_FAILED') return 'tags have no meaning here; a text that begins with ! needs quotes'
  return `not valid YAML: ${message.replace(/: .*$/s, '')}`
}

const needsQuotes = "a text with braces needs quotes here: '${secret:name}'"

/** Line and column of an offset. (The yaml package's LineCounter loses lines inside a text whose quote is never closed.) */
const lineTable = (text: string) => {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return (offset: number): { readonly line: number; readonly column: number } => {
    let [low, high] = [0, starts.length - 1]
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 }
  }
}

/** Reads YAML 1.2 or JSON. Objects come without a prototype, so that no key of a hostile file means anything. Never throws. */
export const readSource = (given: string): Source => {
  // Editors do not count a byte order mark.
  const text = given.startsWith('\uFEFF') ? given.slice(1) : given
  const position = lineTable(text)
  const spans = new Map<string, Span>()
  const problems: Problem[] = []

  const problemAt = (field: string, message: string, [from, to]: readonly [number, number]): Problem => {
    // The parser may point behind the end of the text.
    const start = position(Math.min(from, text.length))
    const end = position(Math.min(Math.max(from, to), text.length))
    return { field, message, line: start.line, column: start.column, endLine: end.line, endColumn: end.column }
  }
  const locate: Source['locate'] = (path, message, at = 'value') => {
    const field = path.join('.')
    for (let length = path.length; length >= 0; length -= 1) {
      const span = spans.get(keyOf(path.slice(0, length)))
      if (span === undefined) continue
      const wanted = length === path.length && at === 'value' && span.value[1] > span.value[0] ? span.value : span.key
      if (wanted !== undefined) return problemAt(field, message, wanted)
    }
    return problemAt(field, message, [0, text.length === 0 ? 0 : 1])
  }
  const source = (value: unknown): Source => ({ value, problems, locate })

  if (text.length > maxLength) {
    problems.push({
      ...{ field: '', message: `the file is larger than ${maxLength} characters; split it` },
      ...{ line: 1, column: 1, endLine: 1, endColumn: 1 },
    })
    return source(undefined)
  }

  let document
  try {
    document = parseDocument(text, {
      ...{ prettyErrors: false, logLevel: 'error', stringKeys: true },
      // Aliases, duplicate keys and tags are judged below: the library's own checks are quadratic or too lenient.
      ...{ schema: 'core', resolveKnownTags: false, uniqueKeys: false },
    })
  } catch {
    problems.push(problemAt('', 'this text cannot be read as YAML or JSON; it may be nested too deeply', [0, 0]))
    return source(undefined)
  }
  // Only the first: what the parser says after it is mostly about where it got lost.
  for (const error of [...document.errors, ...document.warnings].slice(0, 1)) {
    const [at] = error.pos
    const unquoted = text.slice(0, at).endsWith('$') && text[at] === '{'
    problems.push(problemAt('', unquoted ? needsQuotes : syntaxMessage(error), error.pos))
  }
  if (problems.length > 0) return source(undefined)

  const anchors = new Map<string, Node>()
  let nodes = 0
  const spanOf = (node: Node | null): readonly [number, number] =>
    node?.range === null || node?.range === undefined ? [0, 0] : [node.range[0], node.range[1]]

  const read = (node: Node | null, path: Path, key?: readonly [number, number]): unknown => {
    spans.set(keyOf(path), { value: spanOf(node), ...(key === undefined ? {} : { key }) })
    nodes += 1
    if (nodes > maxNodes)
      throw new Refused(`more than ${maxNodes} values; aliases may expand too far`, path.slice(0, 4))
    if (path.length > maxDepth) throw new Refused(`nested more than ${maxDepth} levels deep`, path.slice(0, 4))
    if (isAlias(node)) {
      const target = anchors.get(node.source)
      if (target === undefined)
        throw new Refused(
          'no anchor of this name stands before this alias; a text that begins with * needs quotes',
          path,
        )
      return read(target, path, key)
    }
    if ((isMap(node) || isSeq(node) || isScalar(node)) && node.anchor !== undefined) anchors.set(node.anchor, node)
    if (isSeq(node)) return node.items.map((item, index) => read(item as Node, [...path, index]))
    if (!isMap(node)) {
      if (!isScalar(node)) return null
      const { value, source: digits = '' } = node
      // What JavaScript itself writes for a large number is meant as that number.
      const lost = (): boolean => String(value) !== digits && BigInt(Number(value)) !== BigInt(digits)
      if (typeof value === 'number' && !Number.isSafeInteger(value) && /^[+-]?\d+$/.test(digits) && lost())
        problems.push(
          problemAt(
            path.join('.'),
            `a number does not keep these digits; put them in quotes: '${digits}'`,
            spanOf(node),
          ),
        )
      return value
    }
    const value = Object.create(null) as Record<string, unknown>
    for (const pair of node.items) {
      const keyNode = pair.key as Node | null
      const name = isScalar(keyNode) ? String(keyNode.value) : ''
      const here = spanOf(keyNode)
      const field = [...path, name]
      if (name === '__proto__')
        problems.push(problemAt(field.join('.'), '`__proto__` may not be a name; rename it', here))
      else if (Object.hasOwn(value, name)) {
        const first = position(spans.get(keyOf(field))?.key?.[0] ?? 0).line
        problems.push(problemAt(field.join('.'), `stands here twice, first in line ${first}; remove one`, here))
      } else value[name] = read(pair.value as Node | null, field, here)
    }
    return value
  }
  try {
    return source(read(document.contents, []))
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    problems.push(locate(error.path, error.message))
    return source(undefined)
  }
}
