import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: [
      'packages/*/*/test/**/*.test.ts',
      'apps/*/test/**/*.test.ts',
      'extensions/*/test/**/*.test.ts',
      'tools/*/test/**/*.test.ts',
      'examples/*/test/**/*.test.ts',
    ],
    testTimeout: 30_000,
    hookTimeout: 120_000,
    maxWorkers: 2,
    // A machine that runs everything at once may starve one process; a test that needs the second try is named in the summary.
    retry: process.env['ECOKIT_REQUIRE_PEERS'] === '1' && process.env['ECOKIT_PROOF_COUNTS'] === undefined ? 1 : 0,
    coverage: {
      provider: 'v8',
      include: ['packages/*/*/src/**'],
      reporter: ['text-summary', 'json-summary'],
      reportsDirectory: 'coverage',
    },
  },
})
