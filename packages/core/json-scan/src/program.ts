import type { Field, Form, Struct } from './form.ts'

const op = {
  end: 0,
  literal: 1,
  key: 2,
  open: 3,
  close: 4,
  nullable: 5,
  text: 6,
  checkedText: 7,
  choice: 8,
  integer: 9,
  double: 10,
  boundedDouble: 11,
  decimal: 12,
  boolean: 13,
  instant: 14,
  list: 15,
  map: 16,
  never: 17,
} as const

export interface Pattern {
  readonly source: string
  readonly flags: string
}
/** A program for assembly/scan.ts, placed at an address; `bytes` are its literals and words. */
export interface Program {
  readonly start: number
  readonly bytes: Uint8Array
  /** Numbered as the program calls for them. */
  readonly patterns: readonly Pattern[]
  /** How deep maps lie within maps. */
  readonly mapDepth: number
}

/** Writes the program of a form for a memory in which it will lie at `base`. */
export const programOf = (form: Form, base: number): Program => {
  const words: number[] = []
  const literals: number[] = []
  const patterns: Pattern[] = []
  /** Words that hold addresses of words, and those that hold addresses of literals. */
  const jumps: number[] = []
  const pointers: number[] = []
  let depth = 0
  let mapDepth = 0

  const literal = (text: string): readonly [length: number, pointer: number] => {
    const bytes = Buffer.from(text)
    const pointer = literals.length
    // The scanner compares 16 bytes at once, so what lies behind a literal is zeros.
    literals.push(...bytes, ...new Array<number>(32 - (bytes.length % 16)).fill(0))
    return [bytes.length, pointer]
  }
  const pointer = (value: number): void => {
    pointers.push(words.length)
    words.push(value)
  }
  const jump = (): number => {
    jumps.push(words.length)
    words.push(0)
    return words.length - 1
  }
  const land = (place: number): void => {
    words[place] = words.length
  }
  const doubles = (...values: readonly number[]): void => {
    words.push(...new Int32Array(new Float64Array(values).buffer))
  }
  let pending = ''
  const flush = (): void => {
    if (pending === '') return
    const [length, at] = literal(pending)
    pending = ''
    words.push(op.literal, length)
    pointer(at)
  }

  const plainStruct = ({ fields }: Struct): void => {
    pending += '{'
    for (const [index, { name, form: value }] of fields.entries()) {
      pending += `${index === 0 ? '' : ','}${JSON.stringify(name)}:`
      emit(value)
    }
    pending += '}'
  }
  const field = ({ name, form: value, optional }: Field): void => {
    const [length, at] = literal(`,${JSON.stringify(name)}:`)
    const [, without] = literal(`${JSON.stringify(name)}:`)
    words.push(op.key, length)
    pointer(at)
    pointer(without)
    // Address 0 is no jump: a field that must be there.
    const behind = optional === true ? jump() : words.push(0)
    emit(value)
    flush()
    if (optional === true) land(behind)
  }
  const emit = (value: Form): void => {
    if (value.kind === 'struct' && value.nullable !== true && value.fields.every(({ optional }) => optional !== true)) {
      plainStruct(value)
      return
    }
    flush()
    const nullable = value.nullable === true ? (words.push(op.nullable), jump()) : undefined
    switch (value.kind) {
      case 'string': {
        const { minLength = 0, maxLength = -1, patterns: wanted = [], values } = value
        if (values !== undefined) {
          words.push(op.choice, values.length)
          for (const choice of values) {
            const [length, at] = literal(JSON.stringify(choice))
            words.push(length)
            pointer(at)
          }
        } else if (minLength > 0 || maxLength >= 0 || wanted.length > 0) {
          words.push(op.checkedText, minLength, maxLength, wanted.length)
          for (const pattern of wanted) words.push(patterns.push(pattern) - 1)
        } else words.push(op.text)
        break
      }
      case 'integer': {
        const { minimum, maximum } = value
        words.push(op.integer, minimum === undefined && maximum === undefined ? 18 : 15)
        doubles(minimum === undefined ? -Infinity : Number(minimum), maximum === undefined ? Infinity : Number(maximum))
        break
      }
      case 'double': {
        const { minimum = -Infinity, maximum = Infinity, above = -Infinity, below = Infinity } = value
        if (minimum > -Infinity || maximum < Infinity || above > -Infinity || below < Infinity) {
          words.push(op.boundedDouble)
          doubles(minimum, maximum, above, below)
        } else words.push(op.double)
        break
      }
      case 'decimal':
        words.push(op.decimal, value.precision - value.scale, value.scale)
        break
      case 'boolean':
        words.push(op.boolean)
        break
      case 'timestamp':
        words.push(op.instant, value.zoneOnlyZ === true ? 1 : 0)
        break
      case 'struct':
        words.push(op.open)
        value.fields.forEach(field)
        words.push(op.close)
        break
      case 'list': {
        words.push(op.list, value.minLength ?? 0, value.maxLength ?? -1)
        const behind = jump()
        emit(value.item)
        flush()
        words.push(op.end)
        land(behind)
        break
      }
      case 'map': {
        words.push(op.map)
        const behind = jump()
        mapDepth = Math.max(mapDepth, ++depth)
        emit(value.value)
        flush()
        depth--
        words.push(op.end)
        land(behind)
        break
      }
      case 'json':
        words.push(op.never)
    }
    flush()
    if (nullable !== undefined) land(nullable)
  }

  emit(form)
  flush()
  words.push(op.end)
  const start = base + ((literals.length + 15) & ~15)
  for (const place of pointers) words[place] = base + (words[place] ?? 0)
  for (const place of jumps) words[place] = start + (words[place] ?? 0) * 4
  const bytes = new Uint8Array(start - base + words.length * 4)
  bytes.set(literals)
  bytes.set(new Uint8Array(Int32Array.from(words).buffer), start - base)
  return { start, bytes, patterns, mapDepth }
}
