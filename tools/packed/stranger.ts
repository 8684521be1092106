// The project of somebody who has never seen this repository: npm init, npm install of tarballs, the five lines.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { python, runPython, startMlflow } from '@ecokit/peers'
import { run, sizeOf, type Check } from './packed.ts'

const limitBytes = 15 * 1024 * 1024
/** What the MLflow connector is made of; everything else on disk comes from third parties. */
const needed = [
  'contracts',
  'json-scan',
  'http',
  'auth',
  'connect',
  'protocol-mlflow-rest',
  'template-mlops',
  'connector-mlflow',
].map((name) => `@ecokit/${name}`)

const fiveLines = `import { connect, mlflow } from '@ecokit/connector-mlflow'
const trackingUri = process.env['TRACKING_URI'] ?? ''
const tracking = connect(mlflow, { name: 'mlflow-prod', config: { trackingUri }, credentials: { scheme: 'none' } })
for await (const run of tracking.runs.search({ experimentId: '0' })) console.log(run.id, run.metrics)
await tracking.close()
`
const types = `import { connect, mlflow } from '@ecokit/connector-mlflow'
const tracking = connect(mlflow, { config: { trackingUri: 'http://127.0.0.1:1' }, credentials: { scheme: 'none' } })
export const accuracy = async (): Promise<number | undefined> => {
  for await (const run of tracking.runs.search({ experimentId: '0' })) return run.metrics['accuracy']
  return undefined
}
// @ts-expect-error the token is missing
connect(mlflow, { config: { trackingUri: 'http://127.0.0.1:1' }, credentials: { scheme: 'token' } })
// @ts-expect-error no such capability
export const nothing = tracking.nothing
`
/** As `tsc --init` writes it, in a project that has no types of Node. */
const plain = {
  module: 'nodenext',
  target: 'esnext',
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  types: [] as string[],
}
/** With every declaration file looked into, which undici's own allow only beside the types of Node. */
const strict = { ...plain, skipLibCheck: false, types: ['node'] }

const installScripts = (project: string): readonly string[] =>
  readdirSync(join(project, 'node_modules'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name === 'package.json')
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => {
      const json = JSON.parse(readFileSync(file, 'utf8')) as { scripts?: Record<string, string> } | null
      return ['preinstall', 'install', 'postinstall'].some((name) => json?.scripts?.[name] !== undefined)
    })

/** Installs the tarballs into an empty project, compiles the five lines with TypeScript 7 and 6, and runs them on a real MLflow server. */
export const useFromTarballs = async (
  root: string,
  project: string,
  tarballs: ReadonlyMap<string, string>,
): Promise<readonly Check[]> => {
  const needs = needed.map((name) => tarballs.get(name) ?? '')
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'stranger', private: true, type: 'module' }))
  const installed = await run(
    'npm',
    ['install', '--no-audit', '--no-fund', '--ignore-scripts', 'zod@4', ...needs],
    project,
  )
  if (installed.code !== 0) return [{ name: 'stranger: npm install of the tarballs', fault: installed.output }]

  writeFileSync(join(project, 'five-lines.ts'), fiveLines)
  writeFileSync(join(project, 'types.ts'), types)
  writeFileSync(join(project, 'process.d.ts'), 'declare const process: { env: Record<string, string | undefined> }\n')
  const files = ['five-lines.ts', 'types.ts']
  writeFileSync(
    join(project, 'tsconfig.plain.json'),
    JSON.stringify({ compilerOptions: plain, files: [...files, 'process.d.ts'] }),
  )
  writeFileSync(join(project, 'tsconfig.strict.json'), JSON.stringify({ compilerOptions: strict, files }))
  const typescript6 = join(root, 'tools', 'eslint-config', 'node_modules', 'typescript', 'bin', 'tsc6')
  const compile = async (config: string): Promise<readonly Check[]> => {
    const [seven, six] = await Promise.all([
      run('tsc', ['-p', config], project),
      run('node', [typescript6, '-p', config], project),
    ])
    return [
      { name: `stranger: compiles under TypeScript 7, ${config}`, fault: seven.code === 0 ? undefined : seven.output },
      { name: `stranger: compiles under TypeScript 6, ${config}`, fault: six.code === 0 ? undefined : six.output },
    ]
  }
  const plainChecks = await compile('tsconfig.plain.json')

  const bytes = sizeOf(join(project, 'node_modules'))
  const scripts = installScripts(project)
  const checks: Check[] = [
    { name: 'stranger: npm install of the tarballs', fault: undefined },
    ...plainChecks,
    {
      name: `stranger: ${(bytes / 1024 / 1024).toFixed(1)} MB installed, below 15`,
      fault: bytes < limitBytes ? undefined : `node_modules holds ${bytes} bytes, more than ${limitBytes}`,
    },
    { name: 'stranger: no install scripts', fault: scripts.length === 0 ? undefined : scripts.join('\n') },
  ]
  const nodeTypes = await run(
    'npm',
    ['install', '--no-audit', '--no-fund', '--ignore-scripts', '@types/node@24'],
    project,
  )
  checks.push(
    ...(nodeTypes.code === 0
      ? await compile('tsconfig.strict.json')
      : [{ name: 'stranger: the types of Node', fault: nodeTypes.output }]),
  )

  try {
    await python()
  } catch (error) {
    if (process.env['ECOKIT_REQUIRE_PEERS'] === '1') throw error
    console.log(`left out: stranger reads runs from MLflow (${error instanceof Error ? error.message : String(error)})`)
    return checks
  }
  const folder = join(project, 'mlflow')
  mkdirSync(folder)
  await using server = await startMlflow({ folder })
  await runPython('-c', [
    'import mlflow, sys; mlflow.set_tracking_uri(sys.argv[1]); mlflow.start_run(run_name="first"); mlflow.log_metric("accuracy", 0.5)',
    server.url,
  ])
  const ran = await run('node', ['--experimental-strip-types', 'five-lines.ts'], project, {
    ...process.env,
    TRACKING_URI: server.url,
  })
  const read = ran.code === 0 && /[0-9a-f]{32}/.test(ran.output) && ran.output.includes('accuracy: 0.5')
  return [
    ...checks,
    { name: 'stranger: the five lines read a run from a real MLflow server', fault: read ? undefined : ran.output },
  ]
}
