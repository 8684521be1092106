import assert from 'node:assert/strict'
import { suite, test } from 'mocha'
import * as vscode from 'vscode'
import { eventually, inWorkspace } from './support.ts'

/** Problems as the problems panel shows them; lines and columns count from 1 there. */
const problems = (uri: vscode.Uri, source?: string) =>
  vscode.languages
    .getDiagnostics(uri)
    .filter((problem) => (source === undefined ? problem.source !== 'ecokit' : problem.source === source))
    .map(({ message, range }) => `${range.start.line + 1}:${range.start.character + 1} ${message}`)

const ours = (uri: vscode.Uri, expected: readonly string[]) =>
  eventually(
    () => problems(uri, 'ecokit'),
    (seen) => JSON.stringify(seen) === JSON.stringify(expected),
    `problems are ${JSON.stringify(expected)}`,
  )

/** What the command line says about the same file. */
const said = (name: string): readonly string[] => {
  const all = JSON.parse(process.env['ECOKIT_TEST_SAID'] ?? '{}') as Record<string, readonly string[]>
  return all[name] ?? []
}

suite('ecosystem files', () => {
  test('a mistyped config shows the message of the command line at its line and column', async () => {
    const uri = inWorkspace('mistyped', 'ecosystem.yaml')
    await vscode.window.showTextDocument(uri)
    const [missing, unknown, ...more] = said('ecosystem.yaml')
    assert.match(missing ?? '', /^5:5 partners\.mlflow\.config\.trackingUri: /)
    assert.equal(
      unknown,
      '5:15 partners.mlflow.config.trackingUrl: unknown field `trackingUrl`; did you mean `trackingUri`?',
    )
    assert.deepEqual(more, [])
    await ours(uri, said('ecosystem.yaml'))
    const problem = vscode.languages.getDiagnostics(uri).find(({ message }) => message.includes('unknown field'))
    assert.equal(problem?.severity, vscode.DiagnosticSeverity.Error)
    assert.equal(problem.range.end.character - problem.range.start.character, 'trackingUrl'.length)
  })

  test('is checked as it is typed, before it is saved', async () => {
    const uri = inWorkspace('ecosystem.yaml')
    const document = await vscode.workspace.openTextDocument(uri)
    await vscode.window.showTextDocument(document)
    await ours(uri, [])
    const replace = async (from: string, to: string): Promise<void> => {
      const at = document.getText().indexOf(from)
      const edit = new vscode.WorkspaceEdit()
      edit.replace(uri, new vscode.Range(document.positionAt(at), document.positionAt(at + from.length)), to)
      assert.ok(await vscode.workspace.applyEdit(edit))
    }
    await replace('version: 1', 'version: 9')
    await eventually(
      () => problems(uri, 'ecokit'),
      (seen) => seen[0]?.startsWith('1:10 version: ') === true,
      'the mistake is shown',
    )
    await replace('version: 9', 'version: 1')
    await ours(uri, [])
    assert.ok(document.isDirty)
    await vscode.commands.executeCommand('workbench.action.files.revert')
  })

  test('ecosystem.json is checked by its schema and by the same rules', async () => {
    const uri = inWorkspace('mistyped', 'ecosystem.json')
    await vscode.window.showTextDocument(uri)
    assert.ok(
      said('ecosystem.json').includes(
        '4:49 partners.lake.config.databse: unknown field `databse`; did you mean `database`?',
      ),
    )
    await ours(uri, said('ecosystem.json'))
    await eventually(
      () => problems(uri),
      (seen) => seen.length > 0,
      'the schema finds it too',
    )
  })

  test('other files are left alone, and a closed file has no problems', async () => {
    // Opened as a user does: what openTextDocument opens stays open for minutes after its tab is closed.
    const open = async (uri: vscode.Uri): Promise<void> => {
      await vscode.commands.executeCommand('vscode.open', uri, { preview: false })
    }
    const other = inWorkspace('mistyped', 'other.yaml')
    const uri = inWorkspace('mistyped', 'again', 'ecosystem.yaml')
    await open(other)
    await open(uri)
    await eventually(
      () => problems(uri, 'ecokit'),
      (seen) => seen.length > 0,
      'the mistyped file is checked',
    )
    assert.deepEqual(problems(other, 'ecokit'), [])
    await vscode.commands.executeCommand('workbench.action.closeAllEditors')
    await eventually(
      () => problems(uri, 'ecokit'),
      (seen) => seen.length === 0,
      'problems go with the file',
    )
  })
})
