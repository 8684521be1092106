import assert from 'node:assert/strict'
import { suite, test } from 'mocha'
import * as vscode from 'vscode'
import { control } from './control.ts'
import { eventually, extension } from './support.ts'

suite('console and commands', () => {
  test('every command of the manifest is there', async () => {
    const { contributes } = extension().packageJSON as { contributes: { commands: { command: string }[] } }
    const registered = await vscode.commands.getCommands(true)
    for (const { command } of contributes.commands) assert.ok(registered.includes(command), command)
    await vscode.commands.executeCommand('ecokit.showLog')
  })

  test('Open Console opens the link that signs the browser in', async () => {
    void vscode.commands.executeCommand('ecokit.openConsole')
    await eventually(control.requests, (requests) => requests.includes('GET /'), 'the browser asked for the console')
  })
})
