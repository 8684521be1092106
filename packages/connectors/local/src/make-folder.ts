import { mkdir, stat } from 'node:fs/promises'
import path from 'node:path'

const codeOf = (thrown: unknown): unknown => (thrown instanceof Error && 'code' in thrown ? thrown.code : undefined)

const makeOne = async (folder: string): Promise<void> => {
  try {
    await mkdir(folder)
  } catch (thrown) {
    if (codeOf(thrown) !== 'EEXIST' || !(await stat(folder)).isDirectory()) throw thrown
  }
}

/** Makes a folder with those above it. Node's own `recursive` never ends where a file system says ENOENT to everything, as /proc does (Node 24.21). */
export const makeFolder = async (folder: string): Promise<void> => {
  const whole = path.resolve(folder)
  try {
    await makeOne(whole)
  } catch (thrown) {
    const above = path.dirname(whole)
    if (codeOf(thrown) !== 'ENOENT' || above === whole) throw thrown
    await makeFolder(above)
    await makeOne(whole)
  }
}
