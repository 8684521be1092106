import assert from 'node:assert/strict'
import { suite, test } from 'mocha'
import * as vscode from 'vscode'
import type { PartnerHealth } from '../../src/wire.ts'
import { control } from './control.ts'
import { api, asText, eventually, inWords } from './support.ts'

/** The partners of the workspace's server; `mlflow` is the one that is taken down. */
const names = (process.env['ECOKIT_TEST_PARTNERS'] ?? '').split(',')

const row = async (name: string) => (await api()).shown().rows.find(({ label }) => label === name)
const colours = async () => (await api()).shown().rows.map((item) => inWords(item).at(-1))
const status = async () => (await api()).shown().status
const allGreen = async () => {
  const seen = async () => ({ colours: await colours(), connection: (await api()).model().connection })
  const green = (shown: readonly (string | undefined)[]): boolean =>
    shown.length === names.length && shown.every((colour) => colour === 'testing.iconPassed')
  await eventually(seen, (now) => green(now.colours), 'all rows are green')
}

suite('partners', () => {
  test('stand in the view, green, and are counted in the status bar', async () => {
    await allGreen()
    const { rows, badge } = (await api()).shown()
    assert.deepEqual(
      rows.map(({ label }) => label),
      names,
    )
    assert.equal(badge, undefined)
    assert.equal((await status()).text, `$(pulse) ${names.length}/${names.length} healthy`)
    assert.equal((await status()).backgroundColor, undefined)
  })

  test('a partner that fails turns red by an event, with badge, reason and alarm, and green again', async () => {
    const seen: string[] = []
    const listening = (await api()).onDidChange(({ partners }) => {
      seen.push(partners.find(({ name }) => name === 'mlflow')?.health?.status ?? 'unknown')
    })
    await control.partner('mlflow', 'down')
    const red = await eventually(
      () => row('mlflow'),
      (item) => inWords(item).at(-1) === 'testing.iconFailed',
      'the row is red',
    )
    assert.match(asText(red?.description), /^unhealthy: .+/)
    const { badge, rows } = (await api()).shown()
    assert.equal(badge?.value, 1)
    assert.equal(rows.filter((item) => inWords(item).at(-1) === 'testing.iconPassed').length, names.length - 1)
    const alarmed = await status()
    assert.equal(alarmed.text, `$(error) ${names.length - 1}/${names.length} healthy`)
    assert.deepEqual(alarmed.backgroundColor, new vscode.ThemeColor('statusBarItem.errorBackground'))
    assert.match(asText(alarmed.tooltip), /^mlflow is unhealthy: /)

    await control.partner('mlflow', 'up')
    await allGreen()
    assert.equal((await api()).shown().badge, undefined)
    assert.equal((await status()).backgroundColor, undefined)
    listening.dispose()
    assert.equal(seen.includes('unhealthy') && seen.at(-1) === 'healthy', true)
  })

  test('a row tells since when and what was seen last', async () => {
    const details = await eventually(
      async () => (await api()).shown('mlflow').rows,
      (rows) => rows.length > 0,
      'the row has details',
    )
    const labels = details.map(({ label }) => asText(label))
    assert.equal(labels[0], 'Healthy')
    assert.ok(labels.includes('Last check'), labels.join(', '))
    const tooltip = (await row('mlflow'))?.tooltip
    assert.ok(tooltip instanceof vscode.MarkdownString && !tooltip.isTrusted)
    assert.match(tooltip.value, /Tier: community/)
  })

  test('Check Now asks the server, for one and for all', async () => {
    const one = await vscode.commands.executeCommand<PartnerHealth>('ecokit.checkNow', 'mlflow')
    assert.equal(one.status, 'healthy')
    const all = await vscode.commands.executeCommand<PartnerHealth[]>('ecokit.checkAll')
    assert.deepEqual(
      all.map((health) => health.status),
      names.map(() => 'healthy'),
    )
  })

  test('the view empties when the server ends and fills again by itself', async () => {
    await control.server('down')
    await eventually(
      async () => (await api()).model().connection.kind,
      (kind) => kind === 'down' || kind === 'absent',
      'the loss is seen',
    )
    const lost = (await api()).shown()
    assert.deepEqual(lost.rows, [])
    assert.equal(lost.badge, undefined)
    assert.match(lost.status.text, /ecokit is (down|not running)/)
    await control.server('up')
    await allGreen()
  })
})
