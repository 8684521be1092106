import { z } from 'zod'

/** What the server says, as far as it is shown; everything else, and every word that a newer server adds, is passed over. */
const status = z.enum(['healthy', 'degraded', 'unhealthy', 'unknown']).catch('unknown')
const optionalText = z
  .string()
  .nullish()
  .transform((text) => text ?? undefined)

const health = z.object({
  status,
  code: optionalText,
  message: optionalText,
  latencyMs: z
    .number()
    .nullish()
    .transform((value) => value ?? undefined),
  checkedAt: z.string(),
  since: optionalText,
  version: optionalText,
  circuit: optionalText,
  oldTls: z
    .boolean()
    .nullish()
    .transform((value) => value === true),
  parts: z.record(z.string(), z.string()).catch({}).default({}),
})
const partner = z.object({
  name: z.string(),
  connector: z.string(),
  title: optionalText,
  tier: optionalText,
  owner: optionalText,
  circuit: optionalText,
  health: health.nullish().transform((value) => value ?? undefined),
})
const partners = z.object({ partners: z.array(partner) })
const check = z.object({ partner: z.string(), health, check: health })
const removed = z.object({ name: z.string() })
const problem = z.object({ error: z.object({ code: z.string(), message: z.string() }) })

export type Status = z.output<typeof status>
/** A partner's state (`since` is set) or the outcome of one check. */
export type PartnerHealth = z.output<typeof health>
export type Partner = z.output<typeof partner>

/** What happened at the server, as far as it is shown: a partner is new or another state, was checked, or is gone. */
export type ServerEvent =
  | { readonly kind: 'partner'; readonly name: string; readonly partner: Partner }
  | { readonly kind: 'check'; readonly name: string; readonly health: PartnerHealth; readonly check: PartnerHealth }
  | { readonly kind: 'removed'; readonly name: string }

export const parsePartners = (value: unknown): readonly Partner[] => partners.parse(value).partners
export const parseHealth = (value: unknown): PartnerHealth => health.parse(value)

/** The server's own sentence about a refusal, where it gave one. */
export const parseProblem = (text: string): string | undefined => {
  try {
    return problem.safeParse(JSON.parse(text)).data?.error.message
  } catch {
    return undefined
  }
}

const readers: Readonly<Record<string, (value: unknown) => ServerEvent>> = {
  partner: (value) => {
    const read = partner.parse(value)
    return { kind: 'partner', name: read.name, partner: read }
  },
  check: (value) => {
    const read = check.parse(value)
    return { kind: 'check', name: read.partner, health: read.health, check: read.check }
  },
  'partner-removed': (value) => ({ kind: 'removed', name: removed.parse(value).name }),
}

/** An event of the stream; undefined for one that is not shown or that cannot be read. */
export const parseEvent = (event: string, data: string): ServerEvent | undefined => {
  try {
    return readers[event]?.(JSON.parse(data))
  } catch {
    return undefined
  }
}
