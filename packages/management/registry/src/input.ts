import { integrationError } from '@ecokit/contracts'
import type { Policy } from '@ecokit/contracts'
import { checkPartner } from './check-partner.ts'
import type { Surroundings } from './check-partner.ts'
import type { PartnerEntry } from './ecosystem.ts'
import { inspect } from './explain.ts'
import type { Finding } from './explain.ts'
import { PolicySection, policyWords } from './policy.ts'
import type { PartnerRecord } from './record.ts'
import type { Tier } from './shape.ts'
import { readSource } from './source.ts'

/** What may be said about a partner through the API: an entry of `partners` in the file's own words. Judged at run time, whatever its type. */
export interface PartnerInput {
  readonly connector: string
  readonly config?: Readonly<Record<string, unknown>>
  /** The name of an entry of the file's `credentials`; null removes it in an update. */
  readonly credentials?: string | null
  readonly tier?: Tier
  readonly owner?: string | null
  readonly tags?: readonly string[]
  readonly contract?: { readonly start?: string; readonly end?: string } | null
  /** Durations as in the file: `30s`. */
  readonly check?: { readonly every?: string; readonly timeout?: string }
  /** The fields of the file's `policy`; in an update those that are given change, null takes one away, and null for all of it the whole. */
  readonly policy?: Readonly<Record<string, unknown>> | null
}

const refuse = (findings: readonly { readonly field: string; readonly message: string }[]) =>
  integrationError('invalid_config', {
    what: findings.map(({ field, message }) => `${field}: ${message}`).join('\n'),
    details: { field: findings[0]?.field ?? '' },
  })

const said = ({ path, message }: Finding) => ({ field: path.join('.'), message })

/** Foreign data as plain objects without a prototype, under the limits of the file. */
const plain = (value: unknown, at: string): Readonly<Record<string, unknown>> => {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch {
    text = undefined
  }
  const { value: read, problems } = readSource(text ?? '')
  if (problems.length > 0)
    throw refuse(problems.map(({ field, message }) => ({ field: field === '' ? at : `${at}.${field}`, message })))
  if (typeof read !== 'object' || read === null || Array.isArray(read))
    throw refuse([{ field: at, message: 'expected a map of fields' }])
  return read as Readonly<Record<string, unknown>>
}

const withoutNulls = (value: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(value).filter(([, item]) => item !== null))

const judge = (name: string, raw: Readonly<Record<string, unknown>>, surroundings: Surroundings): PartnerEntry => {
  const at = ['partners', name]
  const given = raw['credentials']
  const own = typeof given === 'object' || (typeof given === 'string' && given.includes('${'))
  const ofFile = new Map<string, string>([
    ...(own
      ? [
          [
            'credentials',
            'expected the name of an entry of `credentials` in the file; only the file may hold references',
          ] as const,
        ]
      : []),
    // Whoever may use the API must not open the way into private networks, nor choose whom to trust.
    ...(Object.hasOwn(raw, 'network')
      ? [['network', 'may stand only in the file; remove it, or add the partner there'] as const]
      : []),
  ])
  const rest = Object.fromEntries(Object.entries(raw).filter(([field]) => !ofFile.has(field)))
  const { entry, findings } = checkPartner(name, rest, surroundings)
  if (ofFile.size === 0 && entry !== undefined) return entry
  const told = [...ofFile].map(([field, message]) => ({ field: [...at, field].join('.'), message }))
  const fields = new Set(told.map(({ field }) => field))
  throw refuse([...told, ...findings.map(said).filter(({ field }) => !fields.has(field))])
}

/** Judges a new partner; throws `invalid_config` with the words that the file's check would use. */
export const judgeNew = (name: unknown, input: unknown, surroundings: Surroundings): PartnerEntry => {
  if (typeof name !== 'string' || name === '') throw refuse([{ field: 'name', message: 'missing; expected a text' }])
  return judge(name, withoutNulls(plain(input, `partners.${name}`)), surroundings)
}

/** The fields of a section with some changed; what is no map of fields is left to be refused. */
const over = (before: Readonly<Record<string, unknown>>, wanted: unknown): unknown =>
  typeof wanted === 'object' && wanted !== null && !Array.isArray(wanted)
    ? withoutNulls({ ...before, ...wanted })
    : (wanted ?? before)

/** Judges a partner as it would be after the changes; `null` takes a field away, `config` is replaced as a whole. */
export const judgeChange = (current: PartnerRecord, changes: unknown, surroundings: Surroundings): PartnerEntry => {
  const given = plain(changes, `partners.${current.name}`)
  const { connector, config, credentials, tier, owner, tags, contract } = current
  const check = { every: `${current.check.everyMs}ms`, timeout: `${current.check.timeoutMs}ms` }
  const merged = {
    connector,
    config,
    credentials: credentials ?? null,
    tier,
    owner: owner ?? null,
    tags,
    contract,
    ...given,
  }
  return judge(
    current.name,
    withoutNulls({
      ...merged,
      check: over(check, given['check']),
      policy: given['policy'] === null ? null : over(policyWords(current.policy ?? {}), given['policy']),
    }),
    surroundings,
  )
}

/** Judges a policy as it would be after the changes, for a partner whose entry may not be changed otherwise. */
export const judgePolicy = (name: string, current: Policy | undefined, changes: unknown): Policy => {
  const { policy } = plain({ policy: changes }, `partners.${name}`) as { readonly policy?: unknown }
  const wanted = policy === null ? {} : over(policyWords(current ?? {}), policy)
  const { data, findings } = inspect(PolicySection, wanted, ['partners', name, 'policy'])
  if (data === undefined) throw refuse(findings.map(said))
  return data
}
