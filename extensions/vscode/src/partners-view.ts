import * as vscode from 'vscode'
import type { Model } from './model.ts'
import { badgeOf, rowsOf, type Row } from './presentation.ts'

const toTreeItem = (row: Row): vscode.TreeItem => {
  const state =
    row.children.length === 0 ? vscode.TreeItemCollapsibleState.None : vscode.TreeItemCollapsibleState.Collapsed
  const item = new vscode.TreeItem(row.label, state)
  item.id = row.id
  item.contextValue = row.context
  item.iconPath = new vscode.ThemeIcon(
    row.icon.name,
    row.icon.colour === undefined ? undefined : new vscode.ThemeColor(row.icon.colour),
  )
  item.accessibilityInformation = { label: row.spoken }
  if (row.description !== undefined) item.description = row.description
  if (row.tooltip !== undefined) item.tooltip = new vscode.MarkdownString(row.tooltip)
  return item
}

/** The view of the partners. Its elements are ids, so that a changed row is still the same row: what is open stays open. */
export interface PartnersView {
  /** Shows a model; with `changed`, only this partner's row is drawn again. */
  show(model: Model, changed: string | undefined): void
  /** The rows as VS Code gets them; of a row when an id is given. */
  items(id?: string): vscode.TreeItem[]
  badge(): vscode.ViewBadge | undefined
  dispose(): void
}

export const openPartnersView = (): PartnersView => {
  let rows = new Map<string, Row>()
  let roots: readonly string[] = []
  const changes = new vscode.EventEmitter<string | undefined>()
  const childrenOf = (id: string | undefined): readonly string[] =>
    id === undefined ? roots : (rows.get(id)?.children ?? []).map((row) => row.id)
  const itemOf = (id: string): vscode.TreeItem => {
    const row = rows.get(id)
    return row === undefined ? new vscode.TreeItem(id) : toTreeItem(row)
  }
  const view = vscode.window.createTreeView<string>('ecokit.partners', {
    treeDataProvider: {
      onDidChangeTreeData: changes.event,
      getChildren: (id) => [...childrenOf(id)],
      getTreeItem: itemOf,
    },
  })
  return {
    show: (model, changed) => {
      const shown = rowsOf(model)
      rows = new Map(shown.flatMap((row) => [row, ...row.children]).map((row) => [row.id, row]))
      roots = shown.map((row) => row.id)
      view.badge = badgeOf(model)
      view.message = model.connection.kind === 'connecting' ? `Connecting to ${model.connection.url} …` : ''
      changes.fire(changed)
    },
    items: (id) => childrenOf(id).map(itemOf),
    badge: () => view.badge,
    dispose: () => {
      view.dispose()
      changes.dispose()
    },
  }
}
