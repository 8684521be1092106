#!/usr/bin/env node
// The one file that runs on the user's own Node (20 or newer): it installs what the repository needs and hands over to Node 24.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const windows = process.platform === 'win32'
const [command, ...rest] = process.argv.slice(2)

const stop = (message) => {
  console.error(message)
  process.exit(2)
}
if (Number(process.versions.node.split('.')[0]) < 20)
  stop(`Node ${process.versions.node} is too old: install Node 20 or newer, then run the same command again.`)
if (command !== 'start' && command !== 'test') stop('Usage: npm start | npm test')

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const stampFile = join(root, 'node_modules', '.installed')
const stamp = createHash('sha256')
  .update(readFileSync(join(root, 'pnpm-lock.yaml')))
  .update(process.platform)
  .digest('hex')
const node = join(root, 'node_modules', 'node', 'bin', windows ? 'node.exe' : 'node')

if (!existsSync(node) || !existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== stamp) {
  const pnpm = `pnpm@${manifest.devEngines.packageManager.version}`
  console.log(`Installing dependencies with ${pnpm} (about a minute the first time) …`)
  // pnpm runs on the Node that the repository uses. CI=1 keeps it from asking; a frozen lockfile keeps every machine on the same versions.
  const npx = ['--yes', '--package', `node@${manifest.devDependencies.node}`, '--package', pnpm, 'pnpm']
  const installed = spawnSync('npx', [...npx, 'install', '--frozen-lockfile'], {
    cwd: root,
    stdio: 'inherit',
    shell: windows,
    env: { ...process.env, CI: process.env.CI ?? '1' },
  })
  if (installed.error)
    stop(
      `npx could not be started (${installed.error.message}): install npm beside Node, then run the same command again.`,
    )
  if (installed.status !== 0) stop('Installing dependencies failed; what pnpm said stands above.')
  mkdirSync(dirname(stampFile), { recursive: true })
  writeFileSync(stampFile, stamp)
}

const child = spawn(node, [join(root, 'tools', 'run', `${command}.ts`), ...rest], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, PATH: [dirname(node), join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter) },
})
// The terminal sends Ctrl-C to the whole group; the child decides when to end, and we end with it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => signal !== 'SIGINT' && child.kill(signal))
child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)))
