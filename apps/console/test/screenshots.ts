// Retakes the README's picture from a running console: node test/screenshots.ts <folder with a running ecokit up>
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { chromium } from 'playwright-core'
import { launchOptions } from './chromium.ts'

const state = join(resolve(process.argv[2] ?? '.'), '.ecokit')
const { url } = JSON.parse(readFileSync(join(state, 'server.json'), 'utf8')) as { url: string }
const images = resolve(import.meta.dirname, '..', '..', '..', 'docs', 'images')

const browser = await chromium.launch(launchOptions)
const page = await browser.newPage({
  viewport: { width: 1280, height: 860 },
  deviceScaleFactor: 1.5,
  colorScheme: 'light',
})
await page.goto(`${url}/?token=${readFileSync(join(state, 'token'), 'utf8').trim()}`)
await page.getByRole('button', { name: 'Full sync' }).click()
await page.getByRole('button', { name: 'Cancel' }).waitFor()
await page.getByRole('button', { name: 'Full sync' }).waitFor()
await page.getByRole('heading', { name: /Runs that arrived/ }).waitFor()
await page.screenshot({ path: join(images, 'console.png') })
await page
  .getByRole('link', { name: /last run/ })
  .first()
  .click()
await page.getByRole('heading', { name: /Lineage/ }).waitFor()
await page.screenshot({ path: join(images, 'console-run.png') })
await browser.close()
