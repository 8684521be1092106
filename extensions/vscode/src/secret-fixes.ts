import { spawn } from 'node:child_process'
import path from 'node:path'
import * as vscode from 'vscode'
import { isEcosystemFile, referenceText, secretIn, validate, variableFor, type Finding } from './validation.ts'

type Secret = NonNullable<Finding['secret']>

const rangeOf = ({ startLine, startColumn, endLine, endColumn }: Finding): vscode.Range =>
  new vscode.Range(startLine, startColumn, endLine, endColumn)

/** Secrets in clear that stand in a document now, each with its place. */
const plainSecrets = (document: vscode.TextDocument): readonly (Finding & { readonly secret: Secret })[] =>
  validate(document.getText(), document.uri.path).flatMap((finding) =>
    finding.secret === undefined ? [] : [{ ...finding, secret: finding.secret }],
  )

/** Gives the value to `ecokit vault set` on its standard input: the arguments of a process are for everybody on the machine to read. */
const keepInVault = (file: string, { name, partner }: Secret, value: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const words = ['vault', 'set', name, ...(partner === undefined ? [] : ['--partner', partner]), '--stdin']
    // Only an installed one: npx must not fetch whatever bears that name. On Windows npx is a script, which needs a shell; no word here means anything to one.
    const child = spawn('npx', ['--no', '--', 'ecokit', ...words, '--file', path.basename(file)], {
      cwd: path.dirname(file),
      shell: process.platform === 'win32',
      windowsHide: true,
      stdio: ['pipe', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', (part: Buffer) => {
      said = (said + part.toString()).slice(-4000)
    })
    child.on('error', (error) => {
      reject(
        new Error(`npx cannot be run (${error.message}). Run in a terminal: ecokit ${words.slice(0, -1).join(' ')}`),
      )
    })
    child.on('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(said.trim().replace(/^error: /, '') || `ecokit ended with ${String(code)}`))
    })
    child.stdin.on('error', () => undefined)
    child.stdin.end(value)
  })

const moveSecret = async (log: vscode.LogOutputChannel, uri: vscode.Uri, field: string): Promise<boolean> => {
  const document = await vscode.workspace.openTextDocument(uri)
  const secret = plainSecrets(document).find((found) => found.secret.field === field)?.secret
  const value = secretIn(document.getText(), field)
  if (secret === undefined || value === undefined || !vscode.workspace.isTrusted) return false
  try {
    await vscode.window.withProgress(
      { location: vscode.ProgressLocation.Notification, title: `Moving ${secret.name} to the vault` },
      () => keepInVault(uri.fsPath, secret, value),
    )
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    // What a program says about a secret could be the secret.
    const safe = message.replaceAll(value, '***')
    log.error(`the secret was not moved, and stands in the file as before: ${safe}`)
    void vscode.window.showErrorMessage(`The secret was not moved: ${safe}`)
    return false
  }
  // The file may have been typed in meanwhile: only the same value, wherever it stands now, makes way.
  const place = plainSecrets(document).find((found) => found.secret.field === field)
  if (place === undefined || secretIn(document.getText(), field) !== value) return false
  const edit = new vscode.WorkspaceEdit()
  edit.replace(uri, rangeOf(place), referenceText(uri.path, 'secret', secret.name))
  const done = await vscode.workspace.applyEdit(edit)
  log.info(`moved ${field} to the vault as ${secret.name}`)
  void vscode.window.showInformationMessage(
    `Kept in the vault as ${secret.name}. If this file was ever committed or shared with it, change the secret at the partner too.`,
  )
  return done
}

/** Offers, on a secret that stands in clear, to move it to the vault or to name a variable instead. */
export const offerFixes = (log: vscode.LogOutputChannel): vscode.Disposable => {
  const provide = (document: vscode.TextDocument, range: vscode.Range): vscode.CodeAction[] => {
    if (!isEcosystemFile(document.uri.path)) return []
    return plainSecrets(document)
      .filter((found) => rangeOf(found).intersection(range) !== undefined)
      .flatMap((found) => {
        const { secret } = found
        const moved = `\${secret:${secret.name}}`
        const move = new vscode.CodeAction(`Move the secret to the vault: ${moved}`, vscode.CodeActionKind.QuickFix)
        // The command gets the field and not the value.
        move.command = { command: 'ecokit.moveSecret', title: move.title, arguments: [document.uri, secret.field] }
        move.isPreferred = true
        const variable = variableFor(secret.name)
        const name = new vscode.CodeAction(
          `Replace the secret by an environment variable: \${env:${variable}}`,
          vscode.CodeActionKind.QuickFix,
        )
        name.edit = new vscode.WorkspaceEdit()
        name.edit.replace(document.uri, rangeOf(found), referenceText(document.uri.path, 'env', variable))
        // A program of the workspace is run only where the workspace is trusted, and only on a file that is on a disk.
        return vscode.workspace.isTrusted && document.uri.scheme !== 'untitled' ? [move, name] : [name]
      })
  }
  const selector = [{ pattern: '**/ecosystem.yaml' }, { pattern: '**/ecosystem.yml' }, { pattern: '**/ecosystem.json' }]
  return vscode.Disposable.from(
    vscode.languages.registerCodeActionsProvider(
      selector,
      { provideCodeActions: provide },
      { providedCodeActionKinds: [vscode.CodeActionKind.QuickFix] },
    ),
    vscode.commands.registerCommand('ecokit.moveSecret', (uri: vscode.Uri, field: string) =>
      moveSecret(log, uri, field),
    ),
  )
}
