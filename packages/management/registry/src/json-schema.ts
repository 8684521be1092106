import type { AnyConnector, JsonSchema, Manifest } from '@ecokit/contracts'
import type { z } from 'zod'
import { inputSchema } from './explain.ts'
import { referencePattern } from './references.ts'
import { Pipeline } from './pipeline-shape.ts'
import { File, Lineage, Name, NamedCredentials, Partner, Server } from './shape.ts'

type Json = Readonly<Record<string, unknown>>

/** A schema moved under `#/definitions/<place>`: its own references move with it. */
const moved = (schema: unknown, place: string): unknown => {
  if (Array.isArray(schema)) return schema.map((item) => moved(item, place))
  if (typeof schema !== 'object' || schema === null) return schema
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([key]) => key !== '$schema' && key !== '$id')
      .map(([key, value]: [string, unknown]) => [
        key,
        key === '$ref' && typeof value === 'string' && value.startsWith('#')
          ? `#/definitions/${place}${value.slice(1)}`
          : moved(value, place),
      ]),
  )
}

/** The fields of an auth scheme as they stand in the file: any of them may be a reference, a secret one must be. */
const schemeFields = (schema: z.ZodType): Json => {
  const json = inputSchema(schema)
  const reference = { type: 'string', pattern: referencePattern }
  const properties = Object.entries((json['properties'] ?? {}) as Json).map(([name, field]) => {
    const { description, secret } = (field ?? {}) as Json
    const about = description === undefined ? {} : { description }
    return [name, secret === true ? { ...reference, ...about } : { anyOf: [field, reference], ...about }]
  })
  return { ...json, properties: Object.fromEntries(properties) as Json }
}

const credentialsOf = (manifest: Manifest): Json => {
  const schemes = Object.entries(manifest.auth ?? {}).map(([name, scheme]) => {
    const { properties, required, ...rest } = schemeFields(scheme.credentials)
    return {
      ...(moved(rest, '') as Json),
      properties: { scheme: { const: name }, ...(properties as Json) },
      required: ['scheme', ...((required ?? []) as string[])],
    }
  })
  return {
    anyOf: [{ type: 'string' }, ...(schemes.length === 0 ? [{ properties: { scheme: { const: 'none' } } }] : schemes)],
  }
}

const section = (entry: Json, description: string | undefined): Json => ({
  type: ['object', 'null'],
  ...(description === undefined ? {} : { description }),
  propertyNames: moved(inputSchema(Name), ''),
  additionalProperties: entry,
})

/** What a partner of this connector may say. */
const whenConnector = (manifest: Manifest): Json => {
  const needed = ((inputSchema(manifest.config)['required'] ?? []) as unknown[]).length > 0
  return {
    if: { properties: { connector: { const: manifest.id } }, required: ['connector'] },
    then: {
      properties: { config: { $ref: `#/definitions/${manifest.id}-config` }, credentials: credentialsOf(manifest) },
      ...(needed ? { required: ['config'] } : {}),
    },
  }
}

/** The JSON Schema (draft 7, which editors know best) of a whole `ecosystem.yaml` for these connectors, to complete and check it while typing. `parseEcosystem` refuses more. */
export const ecosystemSchema = (connectors: readonly AnyConnector[]): JsonSchema => {
  const manifests = connectors.map(({ manifest }) => manifest)
  const plain = (schema: z.ZodType): Json => moved(inputSchema(schema), '') as Json
  const partner = plain(Partner)
  const file = plain(File)
  const fields = (file['properties'] ?? {}) as Readonly<Record<string, Json>>
  const about = (name: string): string | undefined => {
    const description = fields[name]?.['description']
    return typeof description === 'string' ? description : undefined
  }
  return {
    ...{ $schema: 'http://json-schema.org/draft-07/schema#', title: 'ecosystem.yaml' },
    ...{ type: 'object', required: ['version'], additionalProperties: false },
    properties: {
      version: { const: 1, description: 'The version of this format: 1.' },
      credentials: section(plain(NamedCredentials), about('credentials')),
      partners: section({ $ref: '#/definitions/partner' }, about('partners')),
      pipelines: section(plain(Pipeline), about('pipelines')),
      server: { ...plain(Server), description: about('server') },
      lineage: { ...plain(Lineage), description: about('lineage') },
    },
    definitions: {
      partner: {
        ...partner,
        properties: {
          ...((partner['properties'] ?? {}) as Json),
          connector: {
            description: 'The id of an installed connector.',
            ...(manifests.length === 0 ? {} : { anyOf: manifests.map(({ id, title }) => ({ const: id, title })) }),
          },
        },
        ...(manifests.length === 0 ? {} : { allOf: manifests.map(whenConnector) }),
      },
      ...Object.fromEntries(
        manifests.map((manifest) => [
          `${manifest.id}-config`,
          moved(inputSchema(manifest.config), `${manifest.id}-config`),
        ]),
      ),
    },
  }
}
