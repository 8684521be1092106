// A reporter that names the tests that needed a second try: they count as passed, and nobody may overlook them.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Reporter, TestCase } from 'vitest/node'

export const unstableFile = join(import.meta.dirname, '..', '..', '.cache', 'results', 'unstable.json')

export default class implements Reporter {
  readonly #names: string[] = []

  onTestCaseResult(test: TestCase): void {
    if (test.diagnostic()?.flaky === true) this.#names.push(`${test.module.relativeModuleId} > ${test.fullName}`)
  }

  onTestRunEnd(): void {
    writeFileSync(unstableFile, JSON.stringify(this.#names))
  }
}
