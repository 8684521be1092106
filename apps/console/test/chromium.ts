import { existsSync } from 'node:fs'
import axe from 'axe-core'
import type { Page } from 'playwright-core'
import { describe } from 'vitest'

const known = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:/Program Files/Google/Chrome/Application/chrome.exe',
]
/** A browser that is on this machine; CHROMIUM names one elsewhere. */
export const chromiumPath = [process.env['CHROMIUM'] ?? '', ...known].find((path) => path !== '' && existsSync(path))

export const launchOptions = {
  ...(chromiumPath === undefined ? {} : { executablePath: chromiumPath }),
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
}

/** `describe` where there is a browser, a named skip where there is none, a failure where peers are required. */
export const describeInBrowser = (title: string, body: () => void): void => {
  if (chromiumPath !== undefined) describe(title, body)
  else if (process.env['ECOKIT_REQUIRE_PEERS'] === '1')
    throw new Error('Chromium is missing: install it, or set CHROMIUM to its path')
  else describe.skip(`${title} [peer chromium is missing]`, body)
}

/** What axe finds wrong with a page as it stands. */
export const faults = async (page: Page): Promise<readonly string[]> => {
  await page.evaluate(axe.source)
  const found = await page.evaluate(() =>
    (globalThis as unknown as { axe: { run(): Promise<axe.AxeResults> } }).axe.run(),
  )
  return found.violations.map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.html).join(' ')}`)
}
