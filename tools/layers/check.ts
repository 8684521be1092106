import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** The house from the ground up: a package may need only what stands before it here. */
const order = [
  ...['contracts', 'json-scan', 'http', 'auth', 'connect', 'store', 'audit', 'vault', 'flow', 'events'].map(
    (name) => `core/${name}`,
  ),
  'protocols',
  'templates',
  'connectors',
  ...['registry', 'health', 'usage', 'governance'].map((name) => `management/${name}`),
  'console',
  ...['server', 'cli', 'mcp'].map((name) => `host/${name}`),
]
const testkitMayNeed = ['core/contracts', 'core/json-scan', 'core/http', 'core/auth', 'core/connect']

interface Package {
  readonly name: string
  /** `core/http`, or the layer alone where packages of one layer are equals. */
  readonly place: string
  readonly folder: string
  readonly needs: readonly string[]
}

const rank = (place: string): number => order.indexOf(place)

const placeOf = (folder: string): string => {
  const layer = basename(dirname(folder))
  if (layer === 'apps') return 'console'
  return ['core', 'management', 'host', 'authoring'].includes(layer) ? `${layer}/${basename(folder)}` : layer
}

const importsOf = (root: string, folder: string): readonly string[] =>
  globSync(`${folder}/src/**/*.{ts,tsx}`, { cwd: root }).flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/(?:from|import\()\s*'(@ecokit\/[a-z0-9-]+)/g)].map(
      (match) => match[1] ?? '',
    ),
  )

export const readPackages = (root: string): readonly Package[] =>
  globSync(['packages/*/*/package.json', 'apps/*/package.json'], { cwd: root }).map((file) => {
    const folder = dirname(file)
    const json = JSON.parse(readFileSync(join(root, file), 'utf8')) as {
      name: string
      dependencies?: Record<string, string>
      peerDependencies?: Record<string, string>
    }
    const declared = Object.keys({ ...json.dependencies, ...json.peerDependencies }).filter((name) =>
      name.startsWith('@ecokit/'),
    )
    return {
      name: json.name,
      folder,
      place: placeOf(folder),
      needs: [...new Set([...declared, ...importsOf(root, folder)])],
    }
  })

/** One sentence for every need that points upward or sideways. */
export const layerFaults = (packages: readonly Package[]): readonly string[] => {
  const byName = new Map(packages.map((item) => [item.name, item]))
  return packages.flatMap((item) => {
    if (item.place !== 'authoring/testkit' && rank(item.place) < 0)
      return [`${item.name}: ${item.folder} is in no layer of the house`]
    return item.needs.flatMap((name) => {
      const needed = byName.get(name)
      if (needed === undefined || needed.name === item.name) return []
      if (item.place === 'authoring/testkit')
        return testkitMayNeed.includes(needed.place)
          ? []
          : [`${item.name} may not need ${name}: the testkit needs only contracts, http, auth and connect`]
      if (needed.place === 'authoring/testkit')
        return item.place === 'templates'
          ? []
          : [`${item.name} may not need ${name}: only tests and a template's ./conformance do`]
      return rank(needed.place) < rank(item.place)
        ? []
        : [`${item.name} (${item.place}) may not need ${name} (${needed.place}): it does not stand below it`]
    })
  })
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const packages = readPackages(process.cwd())
  const faults = layerFaults(packages)
  for (const fault of faults) console.error(fault)
  console.log(`${packages.length} packages, ${faults.length} faults in the layers`)
  process.exitCode = faults.length === 0 ? 0 : 1
}
