import { countOf, statusOf, type KnownPartner, type Model } from './model.ts'
import type { Status } from './wire.ts'

/** A row of the view, without anything of VS Code in it. */
export interface Row {
  readonly id: string
  readonly label: string
  readonly description?: string
  /** A codicon and a theme colour. */
  readonly icon: { readonly name: string; readonly colour?: string }
  /** Markdown in which nothing comes from outside unescaped. */
  readonly tooltip?: string
  readonly context: 'partner' | 'detail'
  /** For screen readers. */
  readonly spoken: string
  readonly children: readonly Row[]
}

const icons: Readonly<Record<Status, Row['icon']>> = {
  healthy: { name: 'pass-filled', colour: 'testing.iconPassed' },
  degraded: { name: 'warning', colour: 'list.warningForeground' },
  unhealthy: { name: 'error', colour: 'testing.iconFailed' },
  unknown: { name: 'circle-large-outline', colour: 'disabledForeground' },
}

const titled: Readonly<Record<Status, string>> = {
  healthy: 'Healthy',
  degraded: 'Degraded',
  unhealthy: 'Unhealthy',
  unknown: 'Not checked yet',
}

/** Makes text safe for Markdown: no link, image, emphasis or markup can come of it. */
export const escapeMarkdown = (text: string): string =>
  text.replace(/[\\`*_{}[\]()#+\-.!|<>~&:$]/g, (sign) => `\\${sign}`).replace(/\s+/g, ' ')

const milliseconds = (value: number): string => `${Math.round(value)} ms`
/** A time of today without its date: the side bar is narrow. */
const moment = (time: string): string => {
  const date = new Date(time)
  if (Number.isNaN(date.getTime())) return time
  return date.toDateString() === new Date().toDateString() ? date.toLocaleTimeString() : date.toLocaleString()
}

const detail = (id: string, label: string, description: string, icon: string): Row => ({
  id,
  label,
  description,
  icon: { name: icon },
  context: 'detail',
  spoken: `${label}: ${description}`,
  children: [],
})

const partRow = (id: string, part: string, state: string): Row => ({
  ...detail(id, part, state, state === 'ok' ? 'check' : state === 'denied' ? 'lock' : 'circle-slash'),
})

const detailsOf = (partner: KnownPartner): readonly Row[] => {
  const { name, health, lastCheck } = partner
  if (health === undefined) return []
  const rows: Row[] = []
  const add = (key: string, label: string, value: string | undefined, icon: string): void => {
    if (value !== undefined) rows.push(detail(`${name}/${key}`, label, value, icon))
  }
  add(
    'since',
    titled[health.status],
    health.since === undefined ? undefined : `since ${moment(health.since)}`,
    'history',
  )
  add('code', 'Reason', health.code, 'info')
  add('message', 'Message', health.message, 'comment')
  add(
    'checked',
    'Last check',
    lastCheck === undefined ? undefined : `${lastCheck.status}, ${moment(lastCheck.checkedAt)}`,
    'watch',
  )
  add('version', 'Version', lastCheck?.version ?? health.version, 'tag')
  const parts = Object.entries(health.parts).sort(([left], [right]) => left.localeCompare(right))
  return [...rows, ...parts.map(([part, state]) => partRow(`${name}/part/${part}`, part, state))]
}

/** What the circuit means for whoever reads it; undefined while calls go through as they should. */
const circuitOf = ({ circuit, health, lastCheck }: KnownPartner): string | undefined => {
  const state = circuit ?? lastCheck?.circuit ?? health?.circuit
  if (state === 'open') return 'open; calls are held back for a while, because too many failed'
  return state === 'half_open' ? 'half open; a call is trying whether it is back' : undefined
}

const tooltipOf = (partner: KnownPartner): string => {
  const { health, lastCheck } = partner
  const line = (label: string, value: string | undefined): readonly string[] =>
    value === undefined ? [] : [`${label}: ${escapeMarkdown(value)}`]
  return [
    `**${escapeMarkdown(partner.name)}**: ${titled[statusOf(partner)].toLowerCase()}`,
    ...line('Reason', health?.message ?? health?.code),
    ...line('Circuit', circuitOf(partner)),
    ...line(
      'TLS',
      lastCheck?.oldTls === true || health?.oldTls === true ? '1.2, as its connection asks for' : undefined,
    ),
    ...line('Platform', partner.title ?? partner.connector),
    ...line('Version', lastCheck?.version ?? health?.version),
    ...line('Tier', partner.tier),
    ...line('Owner', partner.owner),
    ...line('Last check', lastCheck === undefined ? undefined : `${moment(lastCheck.checkedAt)} (${lastCheck.status})`),
  ].join('  \n')
}

/** What stands behind the name: how fast where all is well, else why not. */
const descriptionOf = (partner: KnownPartner): string => {
  const { health, lastCheck } = partner
  if (health === undefined) return 'not checked yet'
  const latency = lastCheck?.latencyMs ?? health.latencyMs
  if (health.status === 'healthy') return latency === undefined ? 'healthy' : milliseconds(latency)
  const denied = Object.entries(health.parts).filter(([, state]) => state !== 'ok')
  const parts = denied.length === 0 ? undefined : denied.map(([part, state]) => `${part} ${state}`).join(', ')
  const reason = health.message ?? health.code ?? parts
  return reason === undefined ? health.status : `${health.status}: ${reason}`
}

const rowOf = (partner: KnownPartner): Row => ({
  id: partner.name,
  label: partner.name,
  description: descriptionOf(partner),
  icon: icons[statusOf(partner)],
  tooltip: tooltipOf(partner),
  context: 'partner',
  spoken: `${partner.name}, ${titled[statusOf(partner)].toLowerCase()}, ${descriptionOf(partner)}`,
  children: detailsOf(partner),
})

export const rowsOf = (model: Model): readonly Row[] => model.partners.map(rowOf)

/** The number on the activity bar: how many are unhealthy; undefined for none. */
export const badgeOf = (model: Model): { readonly value: number; readonly tooltip: string } | undefined => {
  const value = countOf(model, 'unhealthy')
  return value === 0
    ? undefined
    : { value, tooltip: value === 1 ? '1 partner is unhealthy' : `${value} partners are unhealthy` }
}

/** What the status bar shows; `alarm` is its background. */
export interface StatusLine {
  readonly text: string
  readonly tooltip: string
  readonly alarm?: 'warning' | 'error'
}

const liveLine = (model: Model): StatusLine => {
  const healthy = countOf(model, 'healthy')
  const troubled = model.partners.filter((partner) => ['degraded', 'unhealthy'].includes(statusOf(partner)))
  const unhealthy = troubled.some((partner) => statusOf(partner) === 'unhealthy')
  return {
    text: `$(${unhealthy ? 'error' : troubled.length > 0 ? 'warning' : 'pulse'}) ${healthy}/${model.partners.length} healthy`,
    tooltip:
      troubled.length === 0
        ? 'Ecosystem partners'
        : troubled.map((partner) => `${partner.name} is ${descriptionOf(partner)}`).join('\n'),
    ...(unhealthy ? { alarm: 'error' as const } : troubled.length > 0 ? { alarm: 'warning' as const } : {}),
  }
}

export const statusLineOf = (model: Model): StatusLine => {
  const { connection } = model
  switch (connection.kind) {
    case 'live':
      return liveLine(model)
    case 'absent':
      return { text: '$(circle-slash) ecokit is not running', tooltip: 'Start with: ecokit up' }
    case 'connecting':
      return { text: '$(sync~spin) ecokit', tooltip: `Connecting to ${connection.url}` }
    case 'down':
      return { text: '$(debug-disconnect) ecokit is down', tooltip: connection.reason, alarm: 'warning' }
    case 'refused':
      return { text: '$(lock) ecokit refuses the token', tooltip: connection.reason, alarm: 'warning' }
  }
}
