import { existsSync } from 'node:fs'
import path from 'node:path'

const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome', 'chrome', 'microsoft-edge']
const applications = [
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
]

/** The browser to drive: the one that CHROMIUM names, else the first that is installed under a usual name. */
export const findChromium = (environment: NodeJS.ProcessEnv = process.env): string | undefined => {
  const named = environment['CHROMIUM']
  if (named !== undefined && named !== '') return existsSync(named) ? named : undefined
  const folders = (environment['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== '')
  return [...names.flatMap((name) => folders.map((folder) => path.join(folder, name))), ...applications].find(
    existsSync,
  )
}
