import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { consoleDirectory } from '@ecokit/console'
import { local } from '@ecokit/connector-local'
import { openEcosystem, openServer } from '@ecokit/server'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkState } from '../../../packages/core/flow/test/openlineage.ts'
import { shopOf, startShop } from '../../../packages/host/server/test/shop.ts'
import { describeInBrowser, faults, launchOptions } from './chromium.ts'

const token = 'token-of-the-stage-0123456789abcdef'
const yaml = (url: string, database: string): string => `version: 1
partners:
  shop: { connector: shop, config: { url: '${url}' } }
  lake: { connector: local, config: { database: '${database}' } }
pipelines:
  orders-to-lake:
    source: shop
    sink: lake
    contract: { columns: freeze }
    schedule: { cron: '0 3 * * *', timezone: Europe/Berlin }
    streams:
      orders:
        rename: { amount: total }
        quality:
          - { rule: not_null, field: total, name: total is known }
          - { rule: row_count, min: 1, name: there are some }
      customers:
`

/** A real server over a real lake and a shop, which has run once before its orders got a note. */
const openStage = async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ecokit-console-'))
  const shop = await startShop()
  const file = join(folder, 'ecosystem.yaml')
  writeFileSync(file, yaml(shop.url, join(folder, 'lake.duckdb')))
  const earlier = await openEcosystem({ file, connectors: [shopOf(), local] })
  const first = await earlier.sync('orders-to-lake')
  await earlier.close()
  const runtime = await openEcosystem({ file, connectors: [shopOf({ note: true }), local] })
  const server = await openServer({ runtime, port: 0, token, consoleDirectory })
  return {
    shop,
    runtime,
    first,
    url: server.url,
    close: async () => {
      await server.close()
      await runtime.close()
      await shop.stop()
      checkState(folder)
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}

describeInBrowser('running pipelines in the console', () => {
  let stage: Awaited<ReturnType<typeof openStage>>
  let browser: Browser
  let page: Page
  const errors: string[] = []
  const go = async (route: string) => {
    await page.goto(`${stage.url}/${route}`)
  }

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

  test('the page of a run shows rates, quality, and quarantined records with their reason', async () => {
    await go(`#/runs/${stage.first.id}`)
    await page.getByRole('heading', { name: /orders-to-lake completed/ }).waitFor()
    const quality = page.getByRole('region', { name: 'Quality results' })
    await quality.getByRole('row', { name: /total is known.*failed/ }).waitFor()
    await quality.getByRole('row', { name: /there are some.*passed/ }).waitFor()
    const quarantine = page.getByRole('region', { name: 'Quarantined records' })
    await quarantine.locator('summary', { hasText: 'o7' }).focus()
    await page.keyboard.press('Enter')
    await quarantine.locator('pre', { hasText: '"id": "o7"' }).waitFor()
    await page.getByRole('img', { name: /^orders: at most [\d,]+ rows a second$/ }).waitFor()
    expect(await faults(page)).toEqual([])
  })

  test('a dataset shows which column comes from which', async () => {
    await page.locator('.lineage [role=button]').filter({ hasText: 'orders' }).first().press('Enter')
    const ways = (name: string) => page.getByRole('region', { name: `Where ${name} comes from and goes to` })
    await ways('orders')
      .getByRole('row', { name: /^orders .*orders-to-lake\/orders$/ })
      .waitFor()
    await page
      .getByRole('group', { name: 'Columns of orders' })
      .getByRole('button', { name: /^amount/ })
      .press('Enter')
    await ways('orders.amount')
      .getByRole('row', { name: /^orders\.amount \S*orders\.total direct, identity orders-to-lake\/orders$/ })
      .waitFor()
    expect(await faults(page)).toEqual([])
  })

  test('the pipelines say when they run, and a run what drifted', async () => {
    await go('#/pipelines')
    const pipeline = page.getByRole('article', { name: 'Pipeline orders-to-lake' })
    await pipeline.getByText('0 3 * * * (Europe/Berlin)').waitFor()
    await pipeline.getByText(/^in \d+ (h|min|s)$/).waitFor()
    const started = await stage.runtime.sync('orders-to-lake')
    await go(`#/runs/${started.id}`)
    await page.getByRole('heading', { name: 'Drift' }).waitFor()
    await page.getByText(/orders column note is new/).waitFor()
    expect(await faults(page)).toEqual([])
  })

  test('a stream that waits is accepted by the keyboard, and the pipeline goes on', async () => {
    await go('#/')
    await page.getByRole('link', { name: 'its schema has changed' }).press('Enter')
    await page.getByText('1 stream waits', { exact: true }).waitFor()
    expect(await faults(page)).toEqual([])
    await page.getByRole('button', { name: 'Accept the changes of orders' }).press('Enter')
    await page.getByText('No stream waits for anybody').waitFor()
    expect((await stage.runtime.sync('orders-to-lake')).status).toBe('completed')
  })

  test('a backfill is started by a form, and refused in words when it has no window', async () => {
    const form = page.getByRole('form', { name: 'Backfill orders-to-lake' })
    await page.locator('.backfill summary').press('Enter')
    await form.getByRole('button', { name: 'Start' }).press('Enter')
    await page
      .getByRole('alert')
      .getByText(/a backfill needs/)
      .waitFor()
    await form.getByLabel('from').fill('2026-01-02T00:00:00Z')
    await form.getByLabel('until').fill('2026-01-04T00:00:00Z')
    await form.getByLabel('streams').fill('orders')
    await form.getByLabel('streams').press('Enter')
    await page.getByRole('link', { name: 'The backfill has begun' }).click()
    await page.getByText('backfill 2026-01-02T00:00:00Z to 2026-01-04T00:00:00Z').waitFor()
    await page.getByRole('heading', { name: /orders-to-lake completed/ }).waitFor()
    expect(stage.shop.seen.at(-1)).toBe('/orders?since=2026-01-02T00:00:00Z&until=2026-01-04T00:00:00Z')
  })

  test('at phone width nothing scrolls sideways, in both colours', async () => {
    await page.setViewportSize({ width: 360, height: 740 })
    for (const colorScheme of ['dark', 'light'] as const) {
      await page.emulateMedia({ colorScheme })
      for (const route of ['#/', '#/pipelines', `#/runs/${stage.first.id}`]) {
        await go(route)
        await page.locator('article, table').first().waitFor()
        if (route === '#/pipelines') await page.locator('.backfill summary').click()
        expect([route, await page.evaluate(() => document.documentElement.scrollWidth)]).toEqual([route, 360])
        expect(await faults(page)).toEqual([])
      }
    }
  })

  test('nothing was logged as an error, but that the empty window was refused', () => {
    expect(errors.filter((error) => !error.includes('400'))).toEqual([])
  })
})
