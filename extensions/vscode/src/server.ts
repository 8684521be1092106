import path from 'node:path'
import * as vscode from 'vscode'
import { follow, type Following } from './follow.ts'
import { locate } from './location.ts'
import { statusOf, type Model } from './model.ts'

const ecosystemFiles = '**/ecosystem.{yaml,yml,json}'

const secretKey = (url: string): string => `ecokit.token ${url}`

/** The setting, or nothing where it is empty. */
export const serverUrl = (): string => vscode.workspace.getConfiguration('ecokit').get('serverUrl', '')

/** The folders of the workspace's ecosystem files, the outermost first. */
export const ecosystemFolders = async (): Promise<readonly string[]> => {
  const files = await vscode.workspace.findFiles(ecosystemFiles, '**/{node_modules,.cache,dist}/**', 100)
  const folders = [...new Set(files.map((file) => path.dirname(file.fsPath)))]
  const depth = (folder: string): number => folder.split(path.sep).length
  return folders.sort((left, right) => depth(left) - depth(right) || left.localeCompare(right))
}

/** Keeps a token for a server that has no token file in the workspace. */
export const storeToken = (secrets: vscode.SecretStorage, url: string, token: string): Thenable<void> =>
  secrets.store(secretKey(url), token)

const logChange = (log: vscode.LogOutputChannel, before: Model, after: Model): void => {
  const { connection } = after
  if (connection.kind !== before.connection.kind)
    switch (connection.kind) {
      case 'live':
        log.info(`connected to ${connection.url}: ${after.partners.length} partners`)
        break
      case 'absent':
        log.info('no server is running for this workspace')
        break
      case 'down':
      case 'refused':
        log.warn(connection.reason)
        break
      case 'connecting':
        log.debug(`connecting to ${connection.url}`)
    }
  for (const partner of after.partners) {
    const known = before.partners.find(({ name }) => name === partner.name)
    if (known === undefined || statusOf(known) === statusOf(partner)) continue
    const reason = partner.health?.message ?? partner.health?.code
    const line = `${partner.name}: ${statusOf(known)} → ${statusOf(partner)}${reason === undefined ? '' : `: ${reason}`}`
    if (statusOf(partner) === 'unhealthy') log.error(line)
    else log.info(line)
  }
}

/** Follows the server of this workspace; looks again as soon as a file that may announce one changes, a setting, a token, or the workspace's trust. */
export const followServer = (
  secrets: vscode.SecretStorage,
  log: vscode.LogOutputChannel,
  onChange: (model: Model, changed: string | undefined) => void,
): { readonly following: Following; readonly disposable: vscode.Disposable } => {
  let shown: Model | undefined
  // A search of the whole workspace: made again only when an ecosystem file comes or goes.
  let folders: Promise<readonly string[]> | undefined
  const following = follow({
    locate: async () =>
      vscode.workspace.isTrusted
        ? locate({
            serverUrl: serverUrl(),
            folders: await (folders ??= ecosystemFolders()),
            storedToken: (url) => secrets.get(secretKey(url)),
          })
        : { kind: 'absent' },
    onChange: (model, changed) => {
      if (shown !== undefined) logChange(log, shown, model)
      shown = model
      onChange(model, changed)
    },
    onProblem: (message) => {
      log.debug(message)
    },
  })
  const poke = (): void => {
    following.poke()
  }
  const moved = (): void => {
    folders = undefined
    following.poke()
  }
  const announcements = vscode.workspace.createFileSystemWatcher('**/.ecokit/{server.json,token}')
  const ecosystems = vscode.workspace.createFileSystemWatcher(ecosystemFiles, false, true, false)
  const disposable = vscode.Disposable.from(
    announcements,
    announcements.onDidCreate(poke),
    announcements.onDidChange(poke),
    announcements.onDidDelete(poke),
    ecosystems,
    ecosystems.onDidCreate(moved),
    ecosystems.onDidDelete(moved),
    vscode.workspace.onDidChangeWorkspaceFolders(moved),
    vscode.workspace.onDidGrantWorkspaceTrust(poke),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration('ecokit.serverUrl')) following.restart()
    }),
    secrets.onDidChange(() => {
      following.restart()
    }),
  )
  return { following, disposable }
}
