import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeInBrowser, faults, launchOptions } from './chromium.ts'
import { openStage } from './stage.ts'

type Stage = Awaited<ReturnType<typeof openStage>>

describeInBrowser('the console', () => {
  let stage: Stage
  let browser: Browser
  let page: Page
  const errors: string[] = []

  beforeAll(async () => {
    stage = await openStage()
    browser = await chromium.launch(launchOptions)
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
    page = await context.newPage()
    page.setDefaultTimeout(15_000)
    page.on('pageerror', (error) => errors.push(error.message))
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
    page.on(
      'request',
      (request) => new URL(request.url()).origin !== stage.url && errors.push(`left the origin: ${request.url()}`),
    )
    await page.goto(stage.link)
  })
  afterAll(async () => {
    await browser.close()
    await stage.close()
  })

  test('the printed link signs in once; the token is in no address and no script can read the session', async () => {
    await page.getByRole('article', { name: 'Partner tracker: healthy' }).waitFor()
    expect(page.url()).toBe(`${stage.url}/`)
    expect(await page.evaluate(() => document.cookie)).toBe('')
    const [cookie] = await page.context().cookies()
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict' })
  })

  test('a browser without a session is told what to open', async () => {
    const stranger = await (await browser.newContext()).newPage()
    const reply = await stranger.goto(stage.url)
    await stranger.close()
    expect(reply?.status()).toBe(401)
  })

  test('a partner turns red with its reason as text within a check interval, and green again', async () => {
    stage.mood.ill = true
    const ill = page.getByRole('article', { name: 'Partner tracker: unhealthy' })
    await ill.waitFor()
    await ill.getByText('ECONNREFUSED').waitFor()
    await page.getByRole('heading', { name: 'tracker needs attention' }).waitFor()
    stage.mood.ill = false
    await page.getByRole('heading', { name: 'All partners are healthy' }).waitFor()
  })

  test('a sync shows its progress while it runs, and what it read, wrote and put aside when it ends', async () => {
    let goOn = (): void => undefined
    stage.mood.hold = new Promise((resolve) => (goOn = resolve))
    await page.getByRole('button', { name: 'Sync now' }).click()
    await page.getByRole('progressbar', { name: 'experiments' }).waitFor()
    await page.getByRole('button', { name: 'Cancel' }).waitFor()
    stage.mood.hold = undefined
    goOn()
    const pipeline = page.getByRole('article', { name: 'Pipeline tracker-to-lake' })
    await pipeline.getByText('completed').waitFor()
    await expect.poll(() => pipeline.locator('dl').innerText()).toMatch(/read\s+33\s+written\s+32\s+quarantined\s+1/)
  })

  const firstCells = (column: number): Promise<string[]> =>
    page.locator('tbody tr').evaluateAll((rows, at) => rows.map((row) => row.children[at]?.textContent ?? ''), column)

  test('the runs that arrived stand best metric first, and sort by mouse and keyboard', async () => {
    await page.getByRole('heading', { name: /Runs that arrived in lake/ }).waitFor()
    const accuracy = (await firstCells(0)).map(Number)
    expect(accuracy).toHaveLength(10)
    expect(accuracy).toEqual([...accuracy].sort((a, b) => b - a))
    await page.getByRole('combobox', { name: 'metric' }).selectOption('log_loss')
    await page.getByText('best log_loss first').waitFor()
    const loss = (await firstCells(0)).map(Number)
    expect(loss).toEqual([...loss].sort((a, b) => a - b))
    await page.getByRole('button', { name: 'run', exact: true }).focus()
    await page.keyboard.press('Enter')
    await page.locator('th[aria-sort=ascending]', { hasText: 'run' }).waitFor()
    const names = await firstCells(1)
    expect(names).toEqual([...names].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })))
  })

  test('the page of a run shows its streams, its lineage and its quarantine', async () => {
    await page.getByRole('link', { name: /last run/ }).click()
    await page.getByRole('heading', { name: /tracker-to-lake completed/ }).waitFor()
    await page
      .getByRole('region', { name: 'Quarantined records' })
      .getByText('expected string, received number')
      .waitFor()
    await page.getByRole('button').filter({ hasText: 'runs' }).first().press('Enter')
    await page.locator('.columns').getByText('experiment_id').waitFor()
    expect(await faults(page)).toEqual([])
  })

  test('the data page lists what stands at a partner', async () => {
    await page.goto(`${stage.url}/#/data/lake/experiments`)
    await page.getByRole('region', { name: 'Records of experiments' }).getByText('churn').waitFor()
    expect(await faults(page)).toEqual([])
  })

  test('it works at phone width, in both colours, and for screen readers', async () => {
    await page.goto(`${stage.url}/#/`)
    await page.getByRole('heading', { name: 'All partners are healthy' }).waitFor()
    expect(await faults(page)).toEqual([])
    const light = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    await page.emulateMedia({ colorScheme: 'dark' })
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).not.toBe(light)
    expect(await faults(page)).toEqual([])
    await page.setViewportSize({ width: 360, height: 740 })
    for (const route of ['#/', '#/data/lake/runs']) {
      await page.goto(`${stage.url}/${route}`)
      await page.locator('table').first().waitFor()
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360)
    }
  })

  test('nothing was logged as an error and nothing left the origin', () => {
    expect(errors).toEqual([])
  })
})
