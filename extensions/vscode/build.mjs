// Makes dist/: the extension in one file, the JSON Schema of ecosystem.json, and with `--tests` what the extension host runs.
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { build, context } from 'esbuild'

const here = import.meta.dirname
const outputs = path.join(here, 'dist')

const common = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  // VS Code 1.101 runs extensions on Node 22.
  target: 'node22',
  absWorkingDir: here,
  logLevel: 'warning',
  sourcemap: true,
}

/** Connectors come for their manifests only: what they would load to talk to a platform is never reached, and stays out. */
const extension = {
  ...common,
  entryPoints: ['src/extension.ts'],
  outfile: 'dist/extension.cjs',
  external: [
    'vscode',
    'undici',
    '@duckdb/node-api',
    '@duckdb/node-bindings',
    'pg',
    'pg-copy-streams',
    'pg-query-stream',
  ],
  minify: true,
}

const tests = {
  ...common,
  entryPoints: ['test/host/suite.ts'],
  outfile: 'dist/test/suite.cjs',
  // mocha loads its parts by name, from the extension's own folder.
  external: ['vscode', 'mocha'],
}

const writeSchema = async () => {
  const [{ ecosystemSchema }, { connectors }] = await Promise.all([
    import('@ecokit/registry/file'),
    import('./src/validation.ts'),
  ])
  await mkdir(outputs, { recursive: true })
  await writeFile(
    path.join(outputs, 'ecosystem.schema.json'),
    `${JSON.stringify(ecosystemSchema(connectors), undefined, 2)}\n`,
  )
}

if (process.argv.includes('--watch')) {
  const watching = await context(extension)
  await watching.watch()
} else {
  await Promise.all([build(extension), writeSchema(), ...(process.argv.includes('--tests') ? [build(tests)] : [])])
}
