import { expect, test } from 'vitest'
import { nothing, withConnection, withEvent, withPartners, type Model } from '../src/model.ts'
import { badgeOf, escapeMarkdown, rowsOf, statusLineOf } from '../src/presentation.ts'
import { parseEvent, parsePartners } from '../src/wire.ts'
import { changed, samplePartners, type FixturePartner } from './fixture-server.ts'

const live = (partners: readonly unknown[]): Model =>
  withPartners(withConnection(nothing, { kind: 'live', url: 'http://127.0.0.1:1' }), parsePartners({ partners }))
const after = (model: Model, name: string, data: unknown): Model => {
  const event = parseEvent(name, JSON.stringify(data))
  return event === undefined ? model : withEvent(model, event)
}
const row = (model: Model, name: string) => rowsOf(model).find(({ id }) => id === name)
const down = changed('mlflow', {
  status: 'unhealthy',
  code: 'unavailable',
  message: 'MLflow cannot be reached (ECONNREFUSED)',
})

test('rows stand in the order of their names, with latency and a green icon', () => {
  const model = live(samplePartners)
  expect(rowsOf(model).map(({ label, description, icon }) => [label, description, icon.name])).toEqual([
    ['lake', '3 ms', 'pass-filled'],
    ['mlflow', '42 ms', 'pass-filled'],
    ['mlflow-prod', '118 ms', 'pass-filled'],
  ])
  expect(badgeOf(model)).toBeUndefined()
  expect(statusLineOf(model)).toEqual({ text: '$(pulse) 3/3 healthy', tooltip: 'Ecosystem partners' })
})

test('a partner event turns the row red, sets badge and status bar, and the next one turns all back', () => {
  const red = after(live(samplePartners), 'partner', down)
  expect(row(red, 'mlflow')).toMatchObject({
    description: 'unhealthy: MLflow cannot be reached (ECONNREFUSED)',
    icon: { name: 'error', colour: 'testing.iconFailed' },
    spoken: 'mlflow, unhealthy, unhealthy: MLflow cannot be reached (ECONNREFUSED)',
  })
  expect(badgeOf(red)).toEqual({ value: 1, tooltip: '1 partner is unhealthy' })
  expect(statusLineOf(red)).toMatchObject({ text: '$(error) 2/3 healthy', alarm: 'error' })
  const green = after(red, 'partner', samplePartners[0])
  expect(rowsOf(green)).toEqual(rowsOf(live(samplePartners)))
  expect(statusLineOf(green)).not.toHaveProperty('alarm')
})

test('a check event brings the state and, apart from it, what this one check saw', () => {
  const state = { ...samplePartners[0]?.health, checkedAt: '2026-11-21T12:00:10.000Z' }
  const check = { status: 'unhealthy', code: 'timeout', message: 'no answer', checkedAt: '2026-11-21T12:00:10.000Z' }
  const model = after(live(samplePartners), 'check', { partner: 'mlflow', health: state, check })
  expect(row(model, 'mlflow')?.icon.name).toBe('pass-filled')
  expect(row(model, 'mlflow')?.children.find(({ id }) => id === 'mlflow/checked')?.description).toMatch(/^unhealthy, /)
  expect(after(model, 'check', { partner: 'nobody', health: state, check })).toEqual(model)
})

test('details tell since when, why, and which parts', () => {
  const degraded = changed('mlflow-prod', {
    status: 'degraded',
    code: 'forbidden',
    parts: { runs: 'ok', registry: 'denied' },
  })
  const model = after(live(samplePartners), 'partner', degraded)
  const details = row(model, 'mlflow-prod')?.children.map(({ label, description, icon }) => [
    label,
    description,
    icon.name,
  ])
  expect(details).toContainEqual(['Reason', 'forbidden', 'info'])
  expect(details).toContainEqual(['registry', 'denied', 'lock'])
  expect(details).toContainEqual(['Version', '3.17.2', 'tag'])
  expect(details?.[0]?.[0]).toBe('Degraded')
  expect(row(model, 'mlflow-prod')?.tooltip).toMatch(/Tier: enterprise/)
  expect(statusLineOf(model)).toMatchObject({ text: '$(warning) 2/3 healthy', alarm: 'warning' })
})

test('a circuit that holds calls back and an old TLS stand in the tooltip, and a closed one does not', () => {
  const partner = { ...changed('mlflow', {}), circuit: 'open' }
  const tooltip = (event: object) => row(after(live(samplePartners), 'partner', event), 'mlflow')?.tooltip ?? ''
  expect(tooltip(partner)).toContain('Circuit: open; calls are held back')
  expect(tooltip({ ...partner, circuit: 'half_open' })).toContain('Circuit: half open')
  expect(tooltip({ ...partner, circuit: 'closed' })).not.toContain('Circuit')
  expect(tooltip({ ...partner, circuit: null, health: { ...partner.health, circuit: 'open', oldTls: true } })).toMatch(
    /Circuit: open.*TLS: 1\\\.2/s,
  )
})

test('a new partner is added, one that was removed is gone, and so is one that left the list', () => {
  const extra: FixturePartner = {
    name: 'alpha',
    connector: 'local',
    title: 'Local',
    tier: 'community',
    owner: null,
    health: null,
  }
  const model = after(live(samplePartners), 'partner', extra)
  expect(rowsOf(model)[0]).toMatchObject({ id: 'alpha', description: 'not checked yet', children: [] })
  expect(rowsOf(after(model, 'partner-removed', { name: 'lake' })).map(({ id }) => id)).toEqual([
    'alpha',
    'mlflow',
    'mlflow-prod',
  ])
  expect(rowsOf(withPartners(model, parsePartners({ partners: [extra] }))).map(({ id }) => id)).toEqual(['alpha'])
})

test('nothing is shown of a server that is not live', () => {
  const red = after(live(samplePartners), 'partner', down)
  for (const kind of ['down', 'refused'] as const) {
    const model = withConnection(red, { kind, url: 'http://127.0.0.1:1', reason: 'why' })
    expect([rowsOf(model), badgeOf(model)]).toEqual([[], undefined])
    expect(statusLineOf(model)).toMatchObject({ tooltip: 'why', alarm: 'warning' })
  }
  expect(statusLineOf(withConnection(red, { kind: 'absent' })).text).toBe('$(circle-slash) ecokit is not running')
})

test('words of a newer server are passed over, an unknown status is unknown', () => {
  const newer = { ...samplePartners[0], health: { ...samplePartners[0]?.health, status: 'on_fire', heat: 3 }, more: {} }
  expect(parsePartners({ partners: [newer] })[0]?.health?.status).toBe('unknown')
  expect(parseEvent('run', '{}')).toBeUndefined()
  expect(parseEvent('partner', '{"name":1}')).toBeUndefined()
  expect(parseEvent('partner', 'no JSON')).toBeUndefined()
})

test('a tooltip holds no markup of others', () => {
  const hostile = { ...down, owner: '[x](command:evil) <img src=y> `z`\n# title' }
  const tooltip = row(after(live(samplePartners), 'partner', hostile), 'mlflow')?.tooltip ?? ''
  expect(tooltip).toContain(escapeMarkdown(hostile.owner))
  expect(tooltip).not.toMatch(/(?<!\\)\[x|(?<!\\)<img|\n#/)
})
