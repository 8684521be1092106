import * as vscode from 'vscode'
import { registerCommands } from './commands.ts'
import type { Model } from './model.ts'
import { openPartnersView } from './partners-view.ts'
import { statusLineOf } from './presentation.ts'
import { watchProblems } from './problems.ts'
import { offerFixes } from './secret-fixes.ts'
import { followServer } from './server.ts'

/** What other extensions, and the tests, get from `activate()`. */
export interface Api {
  readonly version: 1
  /** The partners as they are known now. */
  model(): Model
  readonly onDidChange: vscode.Event<Model>
  /** What is on the screen: the rows of the view (of one partner with its name), its badge and the status bar. */
  shown(partner?: string): {
    readonly rows: readonly vscode.TreeItem[]
    readonly badge: vscode.ViewBadge | undefined
    readonly status: Pick<vscode.StatusBarItem, 'text' | 'tooltip' | 'backgroundColor'>
  }
}

let close = (): Promise<void> => Promise.resolve()

const openStatus = (): { readonly item: vscode.StatusBarItem; readonly show: (model: Model) => void } => {
  const item = vscode.window.createStatusBarItem('ecokit.health', vscode.StatusBarAlignment.Left, 10)
  item.name = 'Ecosystem health'
  item.command = 'ecokit.partners.focus'
  const show = (model: Model): void => {
    const { text, tooltip, alarm } = statusLineOf(model)
    item.text = text
    item.tooltip = tooltip
    item.backgroundColor = alarm === undefined ? undefined : new vscode.ThemeColor(`statusBarItem.${alarm}Background`)
    item.show()
  }
  return { item, show }
}

export const activate = (context: vscode.ExtensionContext): Api => {
  const log = vscode.window.createOutputChannel('Ecosystem Integration', { log: true })
  const view = openPartnersView()
  const status = openStatus()
  const changes = new vscode.EventEmitter<Model>()
  const { following, disposable } = followServer(context.secrets, log, (model, changed) => {
    view.show(model, changed)
    status.show(model)
    void vscode.commands.executeCommand('setContext', 'ecokit.connection', model.connection.kind)
    changes.fire(model)
  })
  close = () => following.close()
  const commands = registerCommands(following, log, context.secrets)
  context.subscriptions.push(log, view, status.item, changes, disposable, commands, watchProblems(), offerFixes(log))
  return {
    version: 1,
    model: () => following.model(),
    onDidChange: changes.event,
    shown: (partner) => ({
      rows: view.items(partner),
      badge: view.badge(),
      status: { text: status.item.text, tooltip: status.item.tooltip, backgroundColor: status.item.backgroundColor },
    }),
  }
}

/** Leaves nothing behind: the connection to the server ends with the extension. */
export const deactivate = (): Promise<void> => close()
