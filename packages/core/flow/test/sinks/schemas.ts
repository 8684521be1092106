import fc from 'fast-check'
import { double, int64 } from '@ecokit/contracts'
import { decide, formOf } from '@ecokit/json-scan'
import type { Form, Struct } from '@ecokit/json-scan'
import { z } from 'zod'
import { kinds as provenKinds } from '../../../../connectors/local/test/proven-kinds.ts'
import { corpus } from '../../../json-scan/test/corpus.ts'
import { below, pick, type Luck, type Random } from './texts.ts'

/** Types with limits, beside those of the proof `segments`. */
const limited: Readonly<Record<string, z.ZodType>> = {
  short: z.string().min(2).max(3),
  word: z.string().regex(/^[a-zä]+$/u),
  onOff: z.enum(['on', 'off', 'ön', 'a"b']),
  small: z.int().min(-128).max(127),
  share: z.number().min(0).lt(1),
  zulu: z.iso.datetime(),
  uuid: z.uuid(),
  money4: z.string().meta({ format: 'decimal', precision: 18, scale: 4 }),
  few: z.array(int64()).max(3),
  ofMaybe: z.record(z.string(), double().nullable()),
  inner: z.object({ a: int64(), b: z.string().optional(), c: z.strictObject({ d: z.boolean() }).optional() }),
  lists: z.array(z.array(z.iso.datetime({ offset: true }))),
  optionals: z.object({
    at: z.iso.datetime({ offset: true }).optional(),
    cost: z.string().meta({ format: 'decimal', precision: 20, scale: 6 }).optional(),
    real: double().optional(),
    big: int64().nullish(),
  }),
}
const schemas: Readonly<Record<string, z.ZodType>> = {
  ...Object.fromEntries(Object.entries(provenKinds).map(([name, { schema }]) => [name, schema])),
  ...limited,
}
const flat = ['text', 'time', 'big', 'bool', 'money', 'real', 'number', 'safe', 'day', 'choice', 'short', 'word']
const more = ['onOff', 'small', 'share', 'zulu', 'uuid', 'huge', 'money4']
const exact = ['big', 'safe', 'small', 'money', 'huge', 'money4', 'time', 'zulu', 'real', 'bigs', 'moneys', 'times']
const nested = Object.keys(schemas).filter((name) => !flat.includes(name) && !more.includes(name))

type Change = (schema: z.ZodType) => z.ZodType
const same: Change = (schema) => schema
const nullable: Change = (schema) => schema.nullable()
const optional: Change = (schema) => schema.optional()
const nullish: Change = (schema) => schema.nullish()

interface Profile {
  readonly name: string
  readonly types: readonly string[]
  readonly least: number
  readonly most: number
  readonly changes: readonly Change[]
}
const mostly = [same, same, same, nullable, optional, nullish]
const profiles: readonly [Profile, ...Profile[]] = [
  { name: 'wide', types: [...flat, ...more], least: 14, most: 20, changes: mostly },
  { name: 'nested', types: nested, least: 3, most: 6, changes: mostly },
  { name: 'exact', types: exact, least: 6, most: 12, changes: mostly },
  { name: 'maybe', types: [...flat, ...more, ...nested], least: 5, most: 10, changes: [nullable, optional, nullish] },
]
const odd = ['a"b', 'ä ö', 'x.y', 'select', "it's", 'constructor', '日本', 'a,b', 'toString', '{table}']

/** The schema of a round: twice the same, once so that bytes can be proved by it, and once with code in it. */
export interface RoundSchema {
  readonly profile: string
  readonly types: readonly string[]
  readonly proven: z.ZodObject
  readonly coded: z.ZodObject
  readonly form: Struct
  /** Without its randomness. */
  readonly luck: Omit<Luck, 'random' | 'bad'>
}

const balancedText = ({ length }: string): boolean => length < 5_000
const refusedTexts = (kind: Form['kind']): readonly string[] => [
  ...corpus.filter(({ form, text }) => form.kind === kind && balancedText(text)).map(({ text }) => text),
  ...['null', 'true', '0', '1.5', '"x"', '[]', '{}', '[1]', '{"a":1}', 'NaN', '-Infinity', '1e999', '01', '"\\ud800"'],
]
const bad = new Map<Form['kind'], readonly string[]>()
const badOf = (kind: Form['kind']): readonly string[] => {
  const known = bad.get(kind) ?? refusedTexts(kind)
  bad.set(kind, known)
  return known
}

/** Schemas of all profiles in turn. */
export const schemaOf = (round: number, seed: number, random: Random): RoundSchema => {
  const { name: profile, types, least, most, changes } = profiles[round % profiles.length] ?? profiles[0]
  const count = least + below(random, most - least + 1)
  const shape: Record<string, z.ZodType> = { k: z.int() }
  const chosen = Array.from({ length: count }, (_, at) => types[(at + round * 7) % types.length] ?? 'text')
  const known = new Map<Form, readonly string[]>()
  chosen.forEach((type, at) => {
    const name = random() < 0.15 ? pick(random, odd) : `f${at}_${type}`
    shape[Object.hasOwn(shape, name) ? `f${at}` : name] = pick(random, changes)(schemas[type] ?? z.string())
  })
  const make = random() < 0.25 ? z.strictObject : z.object
  const proven = make(shape)
  const coded = make(shape).refine(() => true)
  const found = formOf(proven)
  if (!('form' in found) || found.form.kind !== 'struct') throw new Error('a schema of the proof has no form')
  for (const [at, { form }] of found.form.fields.slice(1).entries()) {
    const { values } = provenKinds[chosen[at] ?? ''] ?? {}
    const samples =
      values === undefined ? [] : fc.sample(values, { numRuns: 100, seed: seed + round }).map(({ text }) => text)
    // What a form takes of what the corpus has for its kind; the rest are refused.
    const fitting = [...samples, ...badOf(form.kind), '"f47ac10b-58cc-4372-a567-0e02b2c3d479"']
    known.set(
      form,
      fitting.filter((text) => 'row' in decide(form, Buffer.from(text))),
    )
  }
  return {
    profile,
    types: chosen,
    proven,
    coded,
    form: found.form,
    luck: { badOf, knownOf: (form) => known.get(form) ?? ['null'] },
  }
}
