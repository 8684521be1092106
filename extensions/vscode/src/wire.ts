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
  parts: z.record(z.string(), z.string()).catch({}).default({}),
})
const partner = z.object({
  name: z.string(),
  connector: z.string(),
  title: optionalText,
  tier: optionalText,
  owner: optionalText,
  health: health.nullish().transform((value) => value ?? undefined),
})
const check = z.object({ partner: z.string(), health })
const problem = z.object({ error: z.object({ code: z.string(), message: z.string() }) })

export type Status = z.output<typeof status>
/** A partner's state (`since` is set) or the outcome of one check. */
export type PartnerHealth = z.output<typeof health>
export type Partner = z.output<typeof partner>

/** What happened at the server, as far as it is shown. */
export type ServerEvent =
  | { readonly kind: 'partner'; readonly partner: Partner }
  | { readonly kind: 'check'; readonly check: z.output<typeof check> }

export const parsePartners = (value: unknown): readonly Partner[] => z.array(partner).parse(value)
export const parseHealth = (value: unknown): PartnerHealth => health.parse(value)

/** The server's own sentence about a refusal, where it gave one. */
export const parseProblem = (text: string): string | undefined => {
  try {
    return problem.safeParse(JSON.parse(text)).data?.error.message
  } catch {
    return undefined
  }
}

/** An event of the stream; undefined for one that is not shown or that cannot be read. */
export const parseEvent = (name: string, data: string): ServerEvent | undefined => {
  if (name !== 'partner' && name !== 'check') return undefined
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch {
    return undefined
  }
  if (name === 'partner') {
    const read = partner.safeParse(value)
    return read.success ? { kind: 'partner', partner: read.data } : undefined
  }
  const read = check.safeParse(value)
  return read.success ? { kind: 'check', check: read.data } : undefined
}
