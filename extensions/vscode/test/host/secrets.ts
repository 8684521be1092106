import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { suite, test } from 'mocha'
import * as vscode from 'vscode'
import { control } from './control.ts'
import { eventually, inWorkspace } from './support.ts'

const value = 'canary #1 in-clear'
const problems = (uri: vscode.Uri) => vscode.languages.getDiagnostics(uri).filter(({ source }) => source === 'ecokit')

const openFile = async (uri: vscode.Uri): Promise<vscode.TextDocument> => {
  const document = await vscode.workspace.openTextDocument(uri)
  await vscode.window.showTextDocument(document)
  await eventually(
    () => problems(uri).map(({ message }) => message),
    (seen) => seen.length === 1 && seen[0]?.includes('a secret may not stand in the file') === true,
    'the secret in clear is underlined',
  )
  return document
}
/** The fixes that the light bulb would show on the secret. */
const fixes = async (uri: vscode.Uri): Promise<readonly vscode.CodeAction[]> => {
  const [problem] = problems(uri)
  assert.ok(problem)
  const found = await vscode.commands.executeCommand<vscode.CodeAction[]>(
    'vscode.executeCodeActionProvider',
    uri,
    problem.range,
    vscode.CodeActionKind.QuickFix.value,
  )
  return found.filter(({ title }) => title.includes('secret'))
}

suite('a secret in clear', () => {
  const uri = inWorkspace('secrets', 'ecosystem.yaml')

  test('is underlined without being repeated, and can become a variable', async () => {
    const document = await openFile(uri)
    assert.ok(!JSON.stringify(problems(uri)).includes('canary'))
    const [move, name] = await fixes(uri)
    assert.equal(move?.title, 'Move the secret to the vault: ${secret:mlflow-token}')
    assert.equal(move.isPreferred, true)
    assert.ok(!JSON.stringify(move.command).includes('canary'), 'the command gets the field and not the value')
    assert.equal(name?.title, 'Replace the secret by an environment variable: ${env:MLFLOW_TOKEN}')
    assert.ok(name.edit)
    assert.ok(await vscode.workspace.applyEdit(name.edit))
    assert.match(document.getText(), /token: '\$\{env:MLFLOW_TOKEN\}' \}/)
    await eventually(
      () => problems(uri).length,
      (count) => count === 0,
      'nothing is wrong any more',
    )
    await vscode.commands.executeCommand('workbench.action.files.revert')
    assert.ok(document.getText().includes(value))
  })

  test('stays where it is when the vault cannot take it, and the reason is told', async () => {
    const document = await openFile(uri)
    const [move] = await fixes(uri)
    assert.ok(move?.command)
    const { command, arguments: words = [] } = move.command
    assert.equal(await vscode.commands.executeCommand(command, ...(words as unknown[])), false)
    assert.ok(document.getText().includes(value))
  })

  test('moves to the vault by one fix, on the standard input of ecokit', async () => {
    assert.match(await control.ecokit('init'), /Made the key of the vault/)
    const document = await openFile(uri)
    const [move] = await fixes(uri)
    assert.ok(move?.command)
    const { command, arguments: words = [] } = move.command
    assert.equal(await vscode.commands.executeCommand(command, ...(words as unknown[])), true)
    assert.match(document.getText(), /token: '\$\{secret:mlflow-token\}' \}/)
    assert.ok(!document.getText().includes('canary'))
    await eventually(
      () => problems(uri).length,
      (count) => count === 0,
      'nothing is wrong any more',
    )
    const kept = JSON.parse(await control.ecokit('vault', 'list', '--json')) as { name: string; partner: string }[]
    assert.deepEqual(
      kept.map(({ name, partner }) => [name, partner]),
      [['mlflow-token', 'mlflow']],
    )
    const given = await readFile(inWorkspace('secrets', 'arguments.txt').fsPath, 'utf8')
    assert.match(given, /^vault\nset\nmlflow-token\n--partner\nmlflow\n--stdin\n/)
    assert.ok(!given.includes('canary'), 'no argument holds the secret')
    assert.equal(
      await vscode.commands.executeCommand('ecokit.moveSecret', uri, 'partners.mlflow.config.trackingUri'),
      false,
    )
    await vscode.commands.executeCommand('workbench.action.files.save')
  })
})
