import { jsonSchema } from '@ecokit/contracts'
import type { AnyConnector, Health } from '@ecokit/contracts'
import type { PartnerRecord } from '@ecokit/registry'
import type { EcosystemRuntime } from './ecosystem.ts'
import type { ConnectorView, PartnerView } from './schemas.ts'

export type { ConnectorView, PartnerView }

/** A connector's manifest as JSON: what it takes, does, gives and holds. */
export const connectorView = ({ manifest }: AnyConnector): ConnectorView => {
  const { id, title, description = null, config, auth = {}, provides = {}, streams = {}, sinks = {} } = manifest
  return {
    id,
    title,
    description,
    configSchema: jsonSchema(config, 'input'),
    auth: Object.entries(auth).map(([name, { kind, credentials }]) => ({
      name,
      kind,
      schema: jsonSchema(credentials, 'input'),
    })),
    capabilities: Object.entries(provides).map(([key, { id, version, operations }]) => ({
      key,
      id,
      version,
      operations: Object.entries(operations).map(([name, operation]) => ({
        name,
        title: operation.title ?? null,
        effect: operation.effect,
        many: operation.many,
        input: jsonSchema(operation.input, 'input'),
        output: jsonSchema(operation.output),
      })),
    })),
    streams: Object.entries(streams).map(([name, { schema, primaryKey, cursor }]) => ({
      name,
      ...(primaryKey === undefined ? {} : { primaryKey }),
      ...(cursor === undefined ? {} : { cursor }),
      schema: jsonSchema(schema),
    })),
    discovers: manifest.discovers ?? false,
    sinks: Object.entries(sinks).map(([name, { accepts, dispositions, deletes = [], commit, schema }]) => ({
      name,
      accepts,
      dispositions,
      deletes,
      commit,
      ...(schema === undefined ? {} : { schema: jsonSchema(schema, 'input') }),
    })),
  }
}

const pointOf = ({ status, latencyMs, checkedAt }: Health): PartnerView['history'][number] => ({
  status,
  latencyMs: latencyMs ?? null,
  checkedAt,
})

const partnerView = (
  record: PartnerRecord,
  health: PartnerView['health'],
  history: PartnerView['history'],
  circuit: PartnerView['circuit'],
): PartnerView => {
  const { name, connector, title, config, tier, tags, origin, check, contract } = record
  const { start = null, end = null } = contract
  return {
    name,
    connector,
    title,
    config,
    credentials: record.credentials ?? null,
    tier,
    owner: record.owner ?? null,
    tags,
    contract: start === null && end === null ? null : { start, end },
    origin,
    check,
    policy: { ...record.policy },
    circuit,
    health,
    history,
  }
}

/** Partners with their health, as the API and the events show them. */
export interface Views {
  partners(): Promise<readonly PartnerView[]>
  /** Throws `not_found`. */
  partner(name: string): Promise<PartnerView>
}

/** Opens the views over a runtime. */
export const openViews = ({
  registry,
  health,
  circuit,
}: Pick<EcosystemRuntime, 'registry' | 'health' | 'circuit'>): Views => {
  const view = async (record: PartnerRecord): Promise<PartnerView> => {
    const [state, history] = await Promise.all([health.state(record.name), health.history(record.name, { limit: 60 })])
    return partnerView(record, state ?? null, history.map(pointOf), circuit(record.name) ?? null)
  }
  return {
    partners: async () => Promise.all((await registry.list()).map(view)),
    partner: async (name) => view(await registry.get(name)),
  }
}
