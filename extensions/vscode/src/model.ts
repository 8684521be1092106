import type { Partner, PartnerHealth, ServerEvent, Status } from './wire.ts'

/** Where the server stands. `absent`: none is known; `down`: it does not answer; `refused`: it does not accept the token. */
export type Connection =
  | { readonly kind: 'absent' }
  | { readonly kind: 'connecting'; readonly url: string }
  | { readonly kind: 'live'; readonly url: string }
  | { readonly kind: 'down'; readonly url: string; readonly reason: string }
  | { readonly kind: 'refused'; readonly url: string; readonly reason: string }

export interface KnownPartner extends Partner {
  /** The outcome of the newest check, which the state follows only after some of the same kind. */
  readonly lastCheck: PartnerHealth | undefined
}

/** Everything that is shown. Partners are in the order of their names, and there are none while the server is not live: what is not known is not shown. */
export interface Model {
  readonly connection: Connection
  readonly partners: readonly KnownPartner[]
}

export const nothing: Model = { connection: { kind: 'absent' }, partners: [] }

const byName = (left: Partner, right: Partner): number => left.name.localeCompare(right.name)

export const withConnection = (model: Model, connection: Connection): Model => ({
  connection,
  partners: connection.kind === 'live' ? model.partners : [],
})

/** Takes over the server's whole list; a partner that is not on it is gone. */
export const withPartners = (model: Model, partners: readonly Partner[]): Model => ({
  ...model,
  partners: partners.map((partner) => ({ ...partner, lastCheck: partner.health })).sort(byName),
})

export const withEvent = (model: Model, event: ServerEvent): Model => {
  const others = model.partners.filter(({ name }) => name !== event.name)
  if (event.kind === 'removed') return { ...model, partners: others }
  const known = model.partners.find(({ name }) => name === event.name)
  const changed: KnownPartner | undefined =
    event.kind === 'partner'
      ? { ...event.partner, lastCheck: known?.lastCheck ?? event.partner.health }
      : known && { ...known, health: event.health, lastCheck: event.check }
  return changed === undefined ? model : { ...model, partners: [...others, changed].sort(byName) }
}

/** A partner's state; `unknown` until the first check. */
export const statusOf = (partner: Partner): Status => partner.health?.status ?? 'unknown'

export const countOf = (model: Model, status: Status): number =>
  model.partners.filter((partner) => statusOf(partner) === status).length
