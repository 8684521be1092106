// Takes the pictures of the README, and draws the icon's PNG. `node test/host/screenshots.ts` shows the fixture's partners;
// with a folder that holds an ecosystem.yaml and a running `ecokit up`, it shows those.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { findEditor, installInto, openWorkbench, type Workbench } from '@ecokit/vscode-host'
import { changed, openFixtureServer, samplePartners } from '../fixture-server.ts'
import { sampleEcosystem } from './workspace.ts'

const extensionFolder = path.resolve(import.meta.dirname, '../..')
const images = path.resolve(extensionFolder, '../../docs/images')

type Page = Workbench['page']
const rows = (page: Page) => page.locator('.pane', { hasText: 'Partners' }).getByRole('treeitem')

const shoot = async (page: Page, name: string): Promise<void> => {
  await page.screenshot({ path: path.join(images, name), animations: 'disabled', caret: 'hide' })
  console.log(`docs/images/${name}`)
}

const openFile = async (page: Page, file: string): Promise<void> => {
  await page.keyboard.press('Control+P')
  await page.locator('.quick-input-widget input[type=text]').fill(file)
  await page
    .locator('.quick-input-list .monaco-list-row', { hasText: path.basename(file) })
    .first()
    .waitFor()
  await page.keyboard.press('Enter')
  await page.locator('.tab.active', { hasText: path.basename(file) }).waitFor()
}

const drawIcon = async (page: Page): Promise<void> => {
  const drawn = await page.context().newPage()
  await drawn.setViewportSize({ width: 64, height: 64 })
  const svg = await readFile(path.join(extensionFolder, 'media/icon.svg'), 'utf8')
  await drawn.setContent(
    `<body style="margin:0">${svg.replace(/width="128" height="128"/, 'width="64" height="64"')}</body>`,
  )
  await drawn.screenshot({ path: path.join(extensionFolder, 'media/icon.png'), omitBackground: true })
  await drawn.close()
}

/** Types the mistake, and does not save it. */
const mistype = async (page: Page, at: string): Promise<void> => {
  await page.keyboard.press('Control+G')
  await page.locator('.quick-input-widget input[type=text]').fill(`:${at}`)
  await page.keyboard.press('Enter')
  await page.keyboard.press('Control+Shift+ArrowRight')
  await page.keyboard.type('trackingUrl')
  await page.keyboard.press('Escape')
}

const takePictures = async (page: Page, at: string, breakPartner: () => void): Promise<void> => {
  await page
    .locator('.activitybar')
    .getByRole('tab', { name: /Ecosystem/ })
    .locator('a')
    .first()
    .click({ timeout: 60_000 })
  const partner = rows(page)
    .filter({ hasText: /^mlflow/ })
    .first()
  await partner.waitFor({ timeout: 60_000 })
  await openFile(page, 'ecosystem.yaml')
  await page.locator('.statusbar-item', { hasText: 'healthy' }).waitFor()
  breakPartner()
  await partner.locator('.monaco-tl-twistie').click()
  await rows(page).filter({ hasText: 'Last check' }).waitFor()
  await partner.hover()
  await page.locator('.monaco-hover', { hasText: 'Tier' }).waitFor()
  await shoot(page, 'vscode-partners.png')

  await mistype(page, at)
  await page.locator('.squiggly-error').first().waitFor({ timeout: 30_000 })
  await page.keyboard.press('Control+Shift+M')
  await page.locator('.markers-panel .monaco-list-row', { hasText: 'trackingUrl' }).first().waitFor()
  await page.keyboard.press('Control+1')
  await shoot(page, 'vscode.png')
}

const given = process.argv[2]
const folder = given ?? path.join(await mkdtemp(path.join(tmpdir(), 'ecokit-vscode-')), 'ml-platform')
if (given === undefined) {
  await mkdir(folder)
  await writeFile(path.join(folder, 'ecosystem.yaml'), sampleEcosystem)
}
const server = given === undefined ? await openFixtureServer(samplePartners, folder) : undefined
const lines = (await readFile(path.join(folder, 'ecosystem.yaml'), 'utf8')).split('\n')
const line = lines.findIndex((text) => text.includes('trackingUri'))
const at = `${line + 1}:${(lines[line] ?? '').indexOf('trackingUri') + 1}`

const editor = await findEditor()
if ('missing' in editor) throw new Error(editor.missing)
const extensionsFolder = await mkdtemp(path.join(tmpdir(), 'ecokit-vscode-'))
let workbench: Workbench | undefined
try {
  await installInto(editor, path.join(extensionFolder, 'dist/ecokit-vscode.vsix'), extensionsFolder)
  workbench = await openWorkbench({
    folder,
    extensionsFolder,
    viewport: { width: 1120, height: 680 },
    scale: 2,
    settings: {
      'workbench.colorTheme': 'Default Dark Modern',
      'editor.minimap.enabled': false,
      'window.commandCenter': false,
      'window.title': '${activeEditorShort} · ${rootName}',
    },
  })
  const { page } = workbench
  await mkdir(images, { recursive: true })
  await drawIcon(page)
  await takePictures(page, at, () => {
    const now = new Date().toISOString()
    const reason = { code: 'unavailable', message: 'MLflow at 127.0.0.1:5001 cannot be reached (ECONNREFUSED)' }
    server?.set(changed('mlflow', { status: 'unhealthy', since: now, checkedAt: now, ...reason }))
  })
} finally {
  await workbench?.close()
  await server?.close()
  await rm(extensionsFolder, { recursive: true, force: true })
  if (given === undefined) await rm(path.dirname(folder), { recursive: true, force: true })
}
