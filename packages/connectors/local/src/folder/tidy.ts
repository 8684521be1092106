import { rename, rm, rmdir, stat, truncate } from 'node:fs/promises'
import path from 'node:path'
import { makeFolder } from '../make-folder.ts'
import {
  damageOf,
  damaged,
  foldersOf,
  isRows,
  manifestName,
  namesIn,
  partPattern,
  pieceOf,
  stagedName,
  syncFolder,
  syncWays,
  waits,
  writeManifest,
} from './layout.ts'
import type { FolderManifest, Owner, Part } from './layout.ts'

/** Removes the folders of partitions in which a file was the last. */
const leaveWay = async (base: string, name: string): Promise<void> => {
  for (const folder of foldersOf(name)) if (folder !== '') await rmdir(path.join(base, folder)).catch(() => undefined)
}

/** The names in a folder and in those of its partitions, with `/` between. `drop`: folders that a process which died made and did not fill are removed. */
const filesUnder = async (folder: string, drop: boolean, within = ''): Promise<readonly string[]> => {
  const found: string[] = []
  for (const name of await namesIn(path.join(folder, within))) {
    if (!name.includes('=')) {
      found.push(`${within}${name}`)
      continue
    }
    const inside = await filesUnder(folder, drop, `${within}${name}/`)
    if (inside.length === 0 && drop) await rmdir(path.join(folder, within, name)).catch(() => undefined)
    found.push(...inside)
  }
  return found
}

/** Brings the files in line with the manifest: moves the parts that it lists out of the staging folder and removes those that it does not know. Those in `unsettled`, by name without ending, are left alone. */
export const tidy = async (
  directory: string,
  value: FolderManifest | undefined,
  unsettled: ReadonlySet<string> = new Set(),
): Promise<void> => {
  const staged = path.join(directory, stagedName)
  const listed = new Set(value?.parts.map(({ file }) => file))
  const waiting = new Set(value?.pass?.parts.map(({ file }) => file))
  // What is unsettled may be on its way into a folder just now.
  const settled = unsettled.size === 0
  let moved = false
  for (const name of await filesUnder(staged, settled)) {
    // Of a piece that is being filled only rows that no manifest lists any more go.
    if (unsettled.has(pieceOf(name)) && (listed.has(name) || !isRows(name))) continue
    if (listed.has(name) && waits(name)) continue
    if (listed.has(name)) {
      const target = path.join(directory, name)
      if (name.includes('/')) await makeFolder(path.dirname(target))
      await rename(path.join(staged, name), target)
      if (name.includes('/')) await syncWays(directory, [name])
      moved = true
    } else if (!waiting.has(name)) await rm(path.join(staged, name), { recursive: true, force: true })
    else continue
    if (settled) await leaveWay(staged, name)
  }
  for (const name of await filesUnder(directory, true))
    if ((partPattern.test(name) && !listed.has(name)) || name === `${manifestName}.new`) {
      await rm(path.join(directory, name), { force: true })
      await leaveWay(directory, name)
    }
  if (moved) await syncFolder(directory)
}

/** Ends what a writer left unfinished: cuts off what was written behind the last commit, makes parts of what waits, and tidies. Gives the manifest as it is then. */
export const restore = async (
  directory: string,
  found: FolderManifest | undefined,
  /** Makes lasting parts of those of one piece that wait. */
  fold: (waiting: readonly Part[], schema: FolderManifest['schema']) => Promise<readonly Part[]>,
  /** `replaced`: damage does not matter, because all of it is about to go. */
  about: Owner & { readonly replaced: boolean },
): Promise<FolderManifest | undefined> => {
  const staged = path.join(directory, stagedName)
  const ended = async (parts: readonly Part[], as: FolderManifest['schema']): Promise<Part[]> => {
    const done: Part[] = []
    let waiting: readonly Part[] = []
    const foldWaiting = async () => {
      if (waiting.length > 0) done.push(...(await fold(waiting, as)))
      waiting = []
    }
    for (const one of parts) {
      if (pieceOf(waiting[0]?.file ?? '') !== pieceOf(one.file)) await foldWaiting()
      const file = path.join(staged, one.file)
      const size = (await stat(file).catch(() => undefined))?.size
      const there = size ?? (await stat(path.join(directory, one.file)).catch(() => undefined))?.size ?? 0
      const damage =
        there < one.bytes
          ? `it has ${there} bytes of ${one.bytes}`
          : waits(one.file)
            ? await damageOf(file, one)
            : undefined
      if (damage !== undefined) {
        if (!about.replaced) throw damaged(file, one, about, damage)
        done.push(one)
        continue
      }
      if (size !== undefined && size > one.bytes && !/\.(?:parquet|rows)$/.test(one.file))
        await truncate(file, one.bytes)
      if (waits(one.file)) waiting = [...waiting, one]
      else done.push(one)
    }
    await foldWaiting()
    return done
  }
  let manifest = found
  if (found !== undefined) {
    const parts = await ended(found.parts, found.schema)
    const pass = found.pass && { ...found.pass, parts: await ended(found.pass.parts, found.pass.schema) }
    if ([...found.parts, ...(found.pass?.parts ?? [])].some(({ file }) => waits(file))) {
      manifest = { ...found, parts, ...(pass !== undefined && { pass }) }
      await writeManifest(directory, manifest)
    }
  }
  await tidy(directory, manifest)
  return manifest
}
