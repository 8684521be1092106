// Runs the tests of the extension, from source and packed, in VS Code's real extension host; `node run-tests.mjs` ends with `N passed, N failed`.
import { runHostTests } from './test/host/run.ts'

process.exitCode = await runHostTests()
