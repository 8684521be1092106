// Bundles the console into dist/web: one script, one stylesheet, one page. `--watch` rebuilds on every change.
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { build, context } from 'esbuild'

const here = import.meta.dirname
const web = join(here, 'dist', 'web')
mkdirSync(web, { recursive: true })
cpSync(join(here, 'public'), web, { recursive: true })

const options = {
  entryPoints: ['main.tsx', 'app.css'].map((file) => ({ in: join(here, 'src', 'app', file), out: 'app' })),
  outdir: web,
  bundle: true,
  minify: true,
  sourcemap: true,
  format: 'esm',
  target: 'es2022',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  logLevel: 'warning',
}
if (process.argv.includes('--watch')) await (await context(options)).watch()
else await build(options)
