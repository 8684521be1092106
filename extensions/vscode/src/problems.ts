import * as vscode from 'vscode'
import { isEcosystemFile, validate } from './validation.ts'

const typingPauseMs = 200

/** Checks every open ecosystem file: at once when it is opened, and after a short pause while it is typed in. */
export const watchProblems = (): vscode.Disposable => {
  const problems = vscode.languages.createDiagnosticCollection('ecokit')
  const pauses = new Map<string, NodeJS.Timeout>()
  const concerns = (document: vscode.TextDocument): boolean =>
    isEcosystemFile(document.uri.path) && !['git', 'output'].includes(document.uri.scheme)
  const forget = ({ uri }: vscode.TextDocument): void => {
    clearTimeout(pauses.get(uri.toString()))
    pauses.delete(uri.toString())
  }
  const check = (document: vscode.TextDocument): void => {
    forget(document)
    if (document.isClosed || !concerns(document)) return
    const found = validate(document.getText(), document.uri.path).map(({ message, ...at }) => {
      const range = new vscode.Range(at.startLine, at.startColumn, at.endLine, at.endColumn)
      const diagnostic = new vscode.Diagnostic(range, message, vscode.DiagnosticSeverity.Error)
      diagnostic.source = 'ecokit'
      return diagnostic
    })
    problems.set(document.uri, found)
  }
  vscode.workspace.textDocuments.forEach(check)
  return vscode.Disposable.from(
    problems,
    vscode.workspace.onDidOpenTextDocument(check),
    vscode.workspace.onDidChangeTextDocument(({ document }) => {
      if (!concerns(document)) return
      forget(document)
      const pause = setTimeout(() => {
        check(document)
      }, typingPauseMs)
      pauses.set(document.uri.toString(), pause)
    }),
    vscode.workspace.onDidCloseTextDocument((document) => {
      forget(document)
      problems.delete(document.uri)
    }),
    {
      dispose: () => {
        for (const pause of pauses.values()) clearTimeout(pause)
      },
    },
  )
}
