import { open, stat } from 'node:fs/promises'
import path from 'node:path'
import { crcOf, syncWays } from './layout.ts'
import type { Part } from './layout.ts'

/** Files with the number of their rows, by their names from `folder` on. */
export type Written = readonly (readonly [file: string, rows: number])[]

/** Makes a file that was written and closed survive a power cut. */
const syncFile = async (file: string): Promise<void> => {
  const handle = await open(file, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
/** Makes files in a folder survive a power cut and gives them as a manifest lists them. */
export const checkedParts = async (folder: string, found: Written, rows: number): Promise<readonly Part[]> => {
  const written = found.reduce((sum, [, count]) => sum + count, 0)
  if (written !== rows) throw new Error(`${folder} holds ${written} rows of the ${rows} that were written`)
  const parts: Part[] = []
  for (const [name, count] of found) {
    const file = path.join(folder, name)
    await syncFile(file)
    const { size } = await stat(file)
    parts.push({ file: name, rows: count, bytes: size, crc: await crcOf(file) })
  }
  await syncWays(
    folder,
    found.map(([name]) => name),
  )
  return parts
}
