import path from 'node:path'
import { syncFile, syncWays } from './layout.ts'
import type { Part } from './layout.ts'

/** Files with the number of their rows, by their names from `folder` on. */
export type Written = readonly (readonly [file: string, rows: number])[]

/** Makes files in a folder survive a power cut and gives them as a manifest lists them. */
export const checkedParts = async (folder: string, found: Written, rows: number): Promise<readonly Part[]> => {
  const written = found.reduce((sum, [, count]) => sum + count, 0)
  if (written !== rows) throw new Error(`${folder} holds ${written} rows of the ${rows} that were written`)
  const parts: Part[] = []
  for (const [name, count] of found)
    parts.push({ file: name, rows: count, ...(await syncFile(path.join(folder, name))) })
  await syncWays(
    folder,
    found.map(([name]) => name),
  )
  return parts
}
