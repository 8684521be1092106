import type { AnyConnector } from '@ecokit/contracts'
import { checkNoReference, checkReference, secretsInConfig } from './credentials.ts'
import type { CredentialsReference, PartnerEntry } from './ecosystem.ts'
import { inspect, valueAt } from './explain.ts'
import type { Finding } from './explain.ts'
import { secretsInNetwork } from './network.ts'
import { meantAsReference } from './references.ts'
import { CredentialsEntry, Name, Partner } from './shape.ts'
import type { Path } from './source.ts'
import { unknownWord } from './suggest.ts'

/** What a partner's entry is judged against. */
export interface Surroundings {
  readonly connectors: readonly AnyConnector[]
  /** The file's named references. */
  readonly credentials: ReadonlyMap<string, CredentialsReference>
}

export const findConnector = (connectors: readonly AnyConnector[], id: unknown): AnyConnector | undefined =>
  connectors.find(({ manifest }) => manifest.id === id)

export const checkName = (kind: string, name: string, at: Path): readonly Finding[] =>
  inspect(Name, name, at).findings.map((finding) => ({
    ...finding,
    at: 'key',
    message: `${finding.message} (${kind} name)`,
  }))

/** The entry of this name in the file's `credentials`, or why there is none. */
export const checkCredentials = (
  connector: AnyConnector | undefined,
  given: unknown,
  at: Path,
  { credentials }: Surroundings,
): readonly Finding[] => {
  if (given === undefined) return connector === undefined ? [] : checkNoReference(connector, at)
  if (typeof given === 'string') {
    const reference = credentials.get(given)
    if (reference === undefined)
      return [
        {
          path: at,
          at: 'value',
          message: meantAsReference(given)
            ? 'expected the name of an entry in `credentials`, or a map with `scheme` and its fields'
            : unknownWord('credentials', given, [...credentials.keys()], 'named credentials in the file'),
        },
      ]
    return connector === undefined ? [] : checkReference(connector, reference, ['credentials', given], at)
  }
  const entry = inspect(CredentialsEntry, given, at)
  return connector === undefined || entry.data === undefined ? [] : checkReference(connector, entry.data, at)
}

/** Judges one entry of `partners`: its own fields, the connector's config and the credentials. Gives the entry when nothing is wrong. */
export const checkPartner = (
  name: string,
  raw: unknown,
  surroundings: Surroundings,
): { readonly entry: PartnerEntry | undefined; readonly findings: readonly Finding[] } => {
  const at: Path = ['partners', name]
  const shape = inspect(Partner, raw ?? {}, at)
  const exposed = secretsInNetwork(name, valueAt(raw, ['network']), [...at, 'network'])
  const judgedProxy = new Set(exposed.map(({ path }) => path.join('.')))
  const findings: Finding[] = [
    ...checkName('partner', name, at),
    ...exposed,
    ...shape.findings.filter(({ path }) => !judgedProxy.has(path.join('.'))),
  ]
  const id = valueAt(raw, ['connector'])
  const connector = findConnector(surroundings.connectors, id)
  if (connector === undefined && typeof id === 'string' && id !== '') {
    const ids = surroundings.connectors.map(({ manifest }) => manifest.id)
    findings.push({
      path: [...at, 'connector'],
      at: 'value',
      message: unknownWord('connector', id, ids, 'installed connectors'),
    })
  }
  const config = valueAt(raw, ['config']) ?? {}
  if (typeof config === 'object' && !Array.isArray(config)) {
    const secrets = secretsInConfig(config, [...at, 'config'])
    const judged = new Set(secrets.map(({ path }) => path.join('.')))
    findings.push(...secrets)
    if (connector !== undefined) {
      const refused = inspect(connector.manifest.config, config, [...at, 'config']).findings
      findings.push(...refused.filter(({ path }) => !judged.has(path.join('.'))))
    }
  }
  findings.push(...checkCredentials(connector, valueAt(raw, ['credentials']), [...at, 'credentials'], surroundings))
  const { data } = shape
  if (findings.length > 0 || data === undefined) return { entry: undefined, findings }
  const { credentials, owner, contract = {} } = data
  return {
    entry: {
      name,
      connector: data.connector,
      config: data.config ?? {},
      ...(credentials === undefined ? {} : { credentials }),
      tier: data.tier,
      ...(owner === undefined ? {} : { owner }),
      tags: data.tags ?? [],
      contract: {
        ...(contract.start === undefined ? {} : { start: contract.start }),
        ...(contract.end === undefined ? {} : { end: contract.end }),
      },
      check: { everyMs: data.check.every, timeoutMs: data.check.timeout },
      ...(data.policy === undefined ? {} : { policy: data.policy }),
      ...(data.network === undefined ? {} : { network: data.network }),
    },
    findings,
  }
}
