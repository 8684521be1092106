// What a stranger gets: every package as a tarball, checked as published, then installed and used in an empty project.
import { execFile } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { styleText } from 'node:util'
import type { Outcome, Stage } from '../run/stages.ts'
import { useFromTarballs } from './stranger.ts'

const root = resolve(import.meta.dirname, '..', '..')
const packed = join(root, '.cache', 'packed')

export interface Ran {
  readonly code: number
  readonly output: string
}
/** Runs a program quietly; its output is shown only where the caller prints it. */
export const run = (
  command: string,
  args: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Ran> =>
  new Promise((done) => {
    execFile(
      command,
      args,
      { cwd, env, maxBuffer: 1 << 26, shell: process.platform === 'win32' },
      (error, stdout, stderr) => {
        done({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, output: stdout + stderr })
      },
    )
  })

export interface Check {
  readonly name: string
  readonly fault: string | undefined
}

export interface Packed {
  readonly name: string
  readonly tarball: string
}

/** Packs every published package, built before, into `.cache/packed`. */
export const packAll = async (): Promise<readonly Packed[]> => {
  rmSync(packed, { recursive: true, force: true })
  mkdirSync(packed, { recursive: true })
  const folders = globSync(['packages/*/*/package.json', 'apps/*/package.json'], { cwd: root })
    .map((file) => dirname(join(root, file)))
    .sort()
  const made: Packed[] = []
  for (const folder of folders) {
    const { name } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name: string }
    const target = join(packed, name.replace('@ecokit/', ''))
    mkdirSync(target)
    const result = await run('pnpm', ['pack', '--pack-destination', target], folder)
    const file = readdirSync(target)[0]
    if (result.code !== 0 || file === undefined) throw new Error(`${name} cannot be packed: ${result.output}`)
    made.push({ name, tarball: join(target, file) })
  }
  return made
}

/** Bytes on disk below a folder. */
export const sizeOf = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0)

const shapeChecks = async ({ name, tarball }: Packed): Promise<readonly Check[]> => {
  const [publint, types] = await Promise.all([
    run('publint', ['run', tarball, '--strict'], root),
    run('attw', [tarball, '--profile', 'esm-only', '--no-color', '--format', 'ascii'], root),
  ])
  return [
    { name: `${name}: publint`, fault: publint.code === 0 ? undefined : publint.output },
    { name: `${name}: are the types wrong`, fault: types.code === 0 ? undefined : types.output },
  ]
}

export const packedStage: Stage = {
  name: 'packed',
  doing: 'tarballs as published, and a stranger who installs them',
  run: async (): Promise<Outcome> => {
    const tarballs = await packAll()
    const checks: Check[] = []
    const report = (found: readonly Check[]): void => {
      for (const check of found) {
        checks.push(check)
        console.log(
          check.fault === undefined
            ? `${styleText('green', 'ok')} ${check.name}`
            : `${styleText('red', 'failed')} ${check.name}\n${check.fault}`,
        )
      }
    }
    for (const item of tarballs) report(await shapeChecks(item))
    const project = mkdtempSync(join(tmpdir(), 'ecokit-stranger-'))
    try {
      report(await useFromTarballs(root, project, new Map(tarballs.map((item) => [item.name, item.tarball]))))
    } finally {
      rmSync(project, { recursive: true, force: true })
    }
    const failed = checks.filter((check) => check.fault !== undefined).length
    return { passed: checks.length - failed, failed }
  },
}
