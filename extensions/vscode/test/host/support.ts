import assert from 'node:assert/strict'
import path from 'node:path'
import * as vscode from 'vscode'
import type { Api } from '../../src/extension.ts'

/** Looks again until the condition holds; fails with what was seen last. */
export const eventually = async <T>(
  look: () => T | Promise<T>,
  holds: (seen: T) => boolean,
  what: string,
): Promise<T> => {
  const limit = Date.now() + 60_000
  for (;;) {
    const seen = await look()
    if (holds(seen)) return seen
    if (Date.now() > limit) assert.fail(`${what}; last seen: ${JSON.stringify(seen)}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

export const extension = (): vscode.Extension<Api> => {
  const found = vscode.extensions.getExtension<Api>('ecokit.ecokit-vscode')
  assert.ok(found, 'the extension is installed')
  return found
}
export const api = (): Promise<Api> => Promise.resolve(extension().activate())

export const inWorkspace = (...names: readonly string[]): vscode.Uri => {
  const folder = vscode.workspace.workspaceFolders?.[0]
  assert.ok(folder, 'a folder is open')
  return vscode.Uri.file(path.join(folder.uri.fsPath, ...names)).with({
    scheme: folder.uri.scheme,
    authority: folder.uri.authority,
  })
}

/** The text of a label or tooltip that is one; the extension gives no other. */
export const asText = (text: unknown): string => (typeof text === 'string' ? text : '')

/** A row in words: what is read, the icon and its colour. */
export const inWords = (row: vscode.TreeItem | undefined): readonly (string | undefined)[] => {
  const icon = row?.iconPath instanceof vscode.ThemeIcon ? row.iconPath : undefined
  return [asText(row?.label), asText(row?.description), icon?.id, icon?.color?.id]
}
