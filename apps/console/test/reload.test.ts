import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { describeInBrowser, launchOptions } from './chromium.ts'
import { openStage } from './stage.ts'

describeInBrowser('the console when everything is loaded again', () => {
  let stage: Awaited<ReturnType<typeof openStage>>
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    stage = await openStage()
    browser = await chromium.launch(launchOptions)
    page = await (await browser.newContext()).newPage()
    page.setDefaultTimeout(15_000)
    // So that the test can take the stream of events away, as sleep and restarts do.
    await page.addInitScript(() => {
      const all = globalThis as unknown as { EventSource: typeof EventSource; opened?: EventSource; told: string[] }
      all.told = []
      const Original = all.EventSource
      all.EventSource = class extends Original {
        constructor(url: string | URL) {
          super(url)
          all.opened = this
          this.addEventListener('run', (event) => all.told.push((event as MessageEvent<string>).data))
        }
      }
    })
    await page.goto(stage.link)
    await page.getByRole('heading', { name: 'Pipelines' }).waitFor()
  })
  afterAll(async () => {
    await browser.close()
    await stage.close()
  })
  const hold = () => {
    let goOn = (): void => {}
    const held = new Promise<void>((resolve) => (goOn = resolve))
    return { held, goOn }
  }

  test('what is told meanwhile is newer than what comes, and stays', async () => {
    const reply = hold()
    let asked = 0
    let listed = 0
    await page.route('**/api/pipelines', async (route) => {
      const response = await route.fetch()
      asked += 1
      await reply.held
      await route.fulfill({ response })
    })
    onTestFinished(() => page.unrouteAll({ behavior: 'wait' }))
    page.on('response', (response) => (listed += response.url().includes('/api/runs?') ? 1 : 0))
    await page.reload()
    // At once, and again when the stream of events is open.
    await expect.poll(() => [asked, listed]).toEqual([2, 2])
    const { id } = await stage.runtime.sync('tracker-to-lake')
    const told = async () => {
      const texts = await page.evaluate(() => (globalThis as unknown as { told: string[] }).told)
      return texts.map((text) => JSON.parse(text) as unknown)
    }
    await expect.poll(told).toContainEqual(expect.objectContaining({ id, status: 'completed' }))
    reply.goOn()
    await page.locator(`a[href="#/runs/${id}"]`, { hasText: 'last run' }).waitFor()
  })

  test('the page of a run that ended unseen says so', async () => {
    const { held, goOn } = hold()
    stage.mood.hold = held
    let id = ''
    const ended = stage.runtime.sync('tracker-to-lake', { onStart: (begun) => (id = begun.id) })
    await expect.poll(() => id).not.toBe('')
    await page.goto(`${stage.url}/#/runs/${id}`)
    const heading = page.getByRole('heading', { level: 1 })
    await heading.filter({ hasText: 'running' }).waitFor()
    await page.evaluate(() => {
      ;(globalThis as unknown as { opened: EventSource }).opened.close()
    })
    goOn()
    stage.mood.hold = undefined
    await ended
    await page.evaluate(() => {
      const { opened } = globalThis as unknown as { opened: EventSource }
      opened.onopen?.call(opened, new Event('open'))
    })
    await heading.filter({ hasText: 'completed' }).waitFor()
    await page.locator('section[aria-labelledby="streams"]').getByText('completed').first().waitFor()
  })
})
