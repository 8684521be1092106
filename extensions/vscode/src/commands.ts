import { integrationError, toIntegrationError } from '@ecokit/contracts'
import * as vscode from 'vscode'
import { checkPartner, type Target } from './client.ts'
import type { Following } from './follow.ts'
import { localOrigin } from './location.ts'
import { ecosystemFolders, serverUrl, storeToken } from './server.ts'
import type { PartnerHealth } from './wire.ts'

/** The console's address with the token that signs the browser in; the server answers it with a cookie and an address without the token. */
const consoleLink = ({ url, token }: Target): string => `${url}/?token=${encodeURIComponent(token)}`

const choosePartner = async (following: Following): Promise<string | undefined> => {
  const names = following.model().partners.map(({ name }) => name)
  return await vscode.window.showQuickPick(names, { placeHolder: 'Which partner should be checked now?' })
}

export const registerCommands = (
  following: Following,
  log: vscode.LogOutputChannel,
  secrets: vscode.SecretStorage,
): vscode.Disposable => {
  const target = (): Target => {
    const connected = following.target()
    if (connected === undefined)
      throw integrationError('unavailable', {
        what: 'no ecokit server is connected',
        next: 'Start one with: ecokit up',
        details: {},
      })
    return connected
  }
  /** Whatever fails is shown to the user, in the log too, and never as a stack trace. */
  const command = <A extends unknown[], R>(name: string, work: (...words: A) => R): vscode.Disposable =>
    vscode.commands.registerCommand(name, async (...words: A) => {
      try {
        return await work(...words)
      } catch (error) {
        const { message } = toIntegrationError(error)
        log.error(message)
        void vscode.window.showErrorMessage(message)
        return undefined
      }
    })

  const check = async (names: readonly string[]): Promise<readonly PartnerHealth[]> => {
    const server = target()
    const results = await vscode.window.withProgress({ location: { viewId: 'ecokit.partners' } }, () =>
      Promise.all(names.map((name) => checkPartner(server, name))),
    )
    const troubled = names.filter((_, at) => results[at]?.status !== 'healthy')
    const words = troubled.map((name) => {
      const health = results[names.indexOf(name)]
      return `${name} is ${health?.status ?? 'unknown'}${health?.message === undefined ? '' : `: ${health.message}`}`
    })
    log.info(`checked ${names.join(', ')}: ${troubled.length === 0 ? 'healthy' : words.join('; ')}`)
    if (troubled.length > 0) void vscode.window.showWarningMessage(words.join('\n'))
    else
      vscode.window.setStatusBarMessage(
        `$(pass) ${names.length === 1 ? (names[0] ?? '') : 'All partners'}: healthy`,
        5000,
      )
    return results
  }

  return vscode.Disposable.from(
    command('ecokit.checkNow', async (name?: string) => {
      const chosen = name ?? (await choosePartner(following))
      return chosen === undefined ? undefined : (await check([chosen]))[0]
    }),
    command('ecokit.checkAll', () => check(following.model().partners.map(({ name }) => name))),
    command('ecokit.openConsole', async () => {
      const link = await vscode.env.asExternalUri(vscode.Uri.parse(consoleLink(target()), true))
      return await vscode.env.openExternal(link)
    }),
    command('ecokit.showLog', () => {
      log.show()
    }),
    command('ecokit.setToken', async () => {
      const { connection } = following.model()
      const url = localOrigin(serverUrl()) ?? ('url' in connection ? connection.url : undefined)
      if (url === undefined)
        throw integrationError('invalid_config', {
          what: 'no server is known',
          next: 'Start one with `ecokit up`, or set ecokit.serverUrl',
          details: { field: 'ecokit.serverUrl' },
        })
      const token = await vscode.window.showInputBox({
        prompt: `The token of the server at ${url}; it stands in .ecokit/token beside its ecosystem.yaml`,
        password: true,
        ignoreFocusOut: true,
      })
      if (token !== undefined && token.trim() !== '') await storeToken(secrets, url, token.trim())
    }),
    command('ecokit.start', async () => {
      const [cwd] = await ecosystemFolders()
      const terminal = vscode.window.createTerminal({ name: 'ecokit up', ...(cwd === undefined ? {} : { cwd }) })
      terminal.show()
      // Only an installed one: npx must not fetch whatever bears that name.
      terminal.sendText('npx --no ecokit up')
    }),
  )
}
