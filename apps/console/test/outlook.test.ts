import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { consoleDirectory } from '@ecokit/console'
import { local } from '@ecokit/connector-local'
import { openEcosystem, openServer } from '@ecokit/server'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { slow, startSlow } from '../../../packages/host/server/test/slow.ts'
import { describeInBrowser, faults, launchOptions } from './chromium.ts'

/** The machine may be busy. */
const slowly = { timeout: 15_000 }
const token = 'token-of-the-stage-0123456789abcdef'

/** A real server over a real lake and a partner that takes its time; what it has was read once. */
const openStage = async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ecokit-console-'))
  const partner = await startSlow()
  const file = join(folder, 'ecosystem.yaml')
  writeFileSync(
    file,
    `version: 1
partners:
  slow: { connector: slow, config: { url: '${partner.url}' } }
  lake: { connector: local, config: { database: '${join(folder, 'lake.duckdb')}' } }
pipelines:
  slow-to-lake:
    source: slow
    sink: lake
    streams:
      rows: { quality: [{ rule: row_count, min: 1, name: there are some }] }
      log:
`,
  )
  const runtime = await openEcosystem({ file, connectors: [slow, local] })
  expect(await runtime.sync('slow-to-lake')).toMatchObject({ status: 'completed' })
  const server = await openServer({ runtime, port: 0, token, consoleDirectory })
  return {
    partner,
    url: server.url,
    close: async () => {
      await server.close()
      await runtime.close()
      await partner.stop()
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}

describeInBrowser('a run that goes on, in the console', () => {
  let stage: Awaited<ReturnType<typeof openStage>>
  let browser: Browser
  let page: Page
  const errors: string[] = []
  const bar = (name: string) => page.getByRole('progressbar', { name, exact: true })
  const line = (name: string) => page.locator('.bar', { has: bar(name) })

  beforeAll(async () => {
    stage = await openStage()
    browser = await chromium.launch(launchOptions)
    page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage()
    page.setDefaultTimeout(15_000)
    page.on('pageerror', (error) => errors.push(error.message))
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
    await page.goto(`${stage.url}/?token=${token}`)
    await page.getByRole('heading', { name: 'Pipelines' }).waitFor()
  })
  afterAll(async () => {
    await browser.close()
    await stage.close()
  })

  /** The share of its bar that is filled. */
  const filled = (name: string): Promise<number> =>
    bar(name)
      .locator('i')
      .evaluate((inner: HTMLElement) => Number.parseFloat(inner.style.width))

  test('the overview fills the bar of a stream whose rows are known, and says how long is left', async () => {
    Object.assign(stage.partner.mood, { count: 80, pageMs: 300, stopsAt: { rows: 31 }, broken: 15 })
    await page.getByRole('button', { name: 'Sync now' }).click()
    await expect.poll(() => bar('rows').getAttribute('aria-valuenow'), slowly).toBe('50')
    expect(await bar('rows').getAttribute('aria-valuetext')).toMatch(/^50 %, about [\d.]+ s left$/)
    expect(await filled('rows')).toBe(50)
    // A rate is shown once this page has seen two events far enough apart; pace.test.ts has that.
    expect(await line('rows').innerText()).toMatch(/30 rows · .*50 %, about [\d.]+ s left/)
    await page.getByRole('group', { name: '0 of 2 streams done' }).waitFor()
    expect(await bar('log').getAttribute('aria-valuenow')).toBeNull()
    expect(await faults(page)).toEqual([])
  })

  test('so does the page of the run, also at phone width', async () => {
    await page.getByRole('link', { name: /last run/ }).click()
    await page.getByRole('heading', { name: /slow-to-lake running/ }).waitFor()
    expect(await filled('rows')).toBe(50)
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 800 })
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width)
      expect(await faults(page)).toEqual([])
    }
  })

  test('what one stream has found out is there while the next is read; of what is new nobody knows the end', async () => {
    const findings = ['Quarantined records', 'Quality results'].map((name) => page.getByRole('region', { name }))
    for (const found of findings) expect(await found.count()).toBe(0)
    const nodes = page.locator('.lineage [role=button]')
    await nodes.filter({ hasText: 'rows' }).first().waitFor()
    expect(await nodes.filter({ hasText: 'log' }).count()).toBe(0)

    stage.partner.goOn({ log: 71 })
    await expect.poll(() => line('log').innerText(), slowly).toMatch(/10 rows · /)
    expect(await line('log').innerText()).not.toMatch(/%|left/)
    expect(await bar('log').getAttribute('aria-valuenow')).toBeNull()
    expect(await bar('log').locator('i').count()).toBe(0)
    const [quarantine, quality] = findings
    await quarantine?.locator('summary', { hasText: '"id":15' }).waitFor()
    await quality?.getByRole('row', { name: /rows there are some passed/ }).waitFor()
    await nodes.filter({ hasText: 'log' }).first().waitFor()
    await page.getByRole('heading', { name: /slow-to-lake running/ }).waitFor()
    await page.getByRole('group', { name: '1 of 2 streams done' }).waitFor()

    stage.partner.goOn()
    await page.getByRole('heading', { name: /slow-to-lake completed/ }).waitFor()
    expect(await page.getByRole('progressbar').count()).toBe(0)
  })

  test('nothing was logged as an error', () => {
    expect(errors).toEqual([])
  })
})
