import { jsonSchema, secretFields } from '@ecokit/contracts'
import { placeholders, restFault } from '@ecokit/connect/reading'
import type { JsonSchema, Manifest, Reserved } from '@ecokit/contracts'
import type { z } from 'zod'
import { operationsOf } from '../probes.ts'
import type { Rule, RuleContext } from '../types.ts'

const reserved: Readonly<Record<Reserved, true>> = {
  name: true,
  manifest: true,
  check: true,
  http: true,
  auth: true,
  call: true,
  read: true,
  write: true,
  discover: true,
  dataset: true,
  events: true,
  close: true,
  then: true,
}

const propertiesOf = (schema: JsonSchema): Readonly<Record<string, JsonSchema>> =>
  (schema['properties'] ?? {}) as Readonly<Record<string, JsonSchema>>

/** Fields of a schema of which JSON Schema can say nothing, so that no form can ask for them. */
const undescribed = (schema: JsonSchema): readonly string[] =>
  Object.entries(propertiesOf(schema))
    .filter(
      ([, field]) =>
        !['type', 'enum', 'const', 'anyOf', 'oneOf', 'allOf', 'bytes', '$ref'].some((word) => word in field),
    )
    .map(([name]) => name)

const sections = (manifest: Manifest): readonly (readonly [string, z.ZodType])[] => [
  ['config', manifest.config],
  ...Object.entries(manifest.auth ?? {}).map(([name, scheme]) => [`auth.${name}`, scheme.credentials] as const),
  ...operationsOf(manifest).map(({ name, operation }) => [`the input of ${name}`, operation.input] as const),
]

const soundsSecret = /(?:^|_|[a-z])(?:password|passphrase|secret|token|api_?key|private_?key|access_?key(?!_?id))$/i
const soundsPublic = /(?:uri|url|endpoint|path|name|id|type|kind)$/i

const checkNames = (context: RuleContext, what: string, names: readonly string[], form: RegExp, words: string) => {
  for (const name of names) if (!form.test(name)) context.fail(`the ${what} "${name}" is not ${words}`)
}

export const manifestRules: readonly Rule[] = [
  {
    id: 'manifest.id',
    title: 'The id is lower case, digits and dashes, and the contract is 1',
    run: ({ connector, manifest, fail }) => {
      if (!/^[a-z][a-z0-9-]{0,63}$/.test(manifest.id))
        fail(`the id "${manifest.id}" is not lower case, digits and dashes`)
      if ((connector.contract as number) !== 1) fail(`the contract is ${String(connector.contract)} and not 1`)
    },
  },
  {
    id: 'manifest.title',
    title: 'The title, and the description where there is one, are single lines for people',
    run: ({ manifest, fail }) => {
      const line = (text: string, most: number) =>
        text.trim() === text && text !== '' && !text.includes('\n') && text.length <= most
      if (!line(manifest.title, 60)) fail('the title is not a line of 1 to 60 characters')
      if (manifest.description !== undefined && !line(manifest.description, 300))
        fail('the description is not a line of 1 to 300 characters')
      for (const { name, operation } of operationsOf(manifest))
        if (operation.title !== undefined && !line(operation.title, 80))
          fail(`the title of ${name} is not a line of 1 to 80 characters`)
    },
  },
  {
    id: 'manifest.schemas',
    title: 'Config, credentials and inputs are objects, and JSON Schema can say what every field is',
    run: ({ manifest, fail }) => {
      for (const [name, schema] of sections(manifest)) {
        const described = jsonSchema(schema, 'input')
        if (described['type'] !== 'object') fail(`${name} is not an object`)
        const [field] = undescribed(described)
        if (field !== undefined) fail(`${name} has the field ${field}, of which JSON Schema can say nothing`)
      }
    },
  },
  {
    id: 'manifest.names',
    title: 'Capabilities, operations, streams and sinks have names that fit everywhere, none of them reserved',
    run: (context) => {
      const { manifest, fail } = context
      const capabilities = Object.entries(manifest.provides ?? {})
      for (const [key] of capabilities)
        if (Object.hasOwn(reserved, key)) fail(`the capability "${key}" takes a name that the connection has itself`)
      const camel = /^[a-z][A-Za-z0-9]*$/
      checkNames(
        context,
        'capability',
        capabilities.map(([key]) => key),
        camel,
        'camelCase',
      )
      checkNames(
        context,
        'operation',
        capabilities.flatMap(([, { operations }]) => Object.keys(operations)),
        camel,
        'camelCase',
      )
      const snake = /^[a-z0-9][a-z0-9_-]*$/
      checkNames(context, 'stream', Object.keys(manifest.streams ?? {}), snake, 'lower case, digits and underscores')
      checkNames(context, 'sink', Object.keys(manifest.sinks ?? {}), snake, 'lower case, digits and underscores')
      checkNames(context, 'auth scheme', Object.keys(manifest.auth ?? {}), /^[a-z][A-Za-z0-9_-]*$/, 'one word')
    },
  },
  {
    id: 'manifest.capabilities',
    title: 'Each capability has an identity of its own, a version, and operations with a known effect',
    applies: (manifest) => manifest.provides !== undefined,
    run: ({ manifest, fail }) => {
      const identities = new Set<string>()
      for (const [key, { id, version, operations }] of Object.entries(manifest.provides ?? {})) {
        if (!/^[a-z][a-z0-9-]*(?:\.[a-zA-Z][a-zA-Z0-9-]*)+$/.test(id))
          fail(`${key}: the id "${id}" is not template.name`)
        if (!Number.isInteger(version) || version < 1) fail(`${key}: the version is not a whole number from 1 on`)
        if (identities.has(`${id} ${version}`))
          fail(`${key}: another capability has the id ${id} and version ${version} too`)
        identities.add(`${id} ${version}`)
        if (Object.keys(operations).length === 0) fail(`${key} has no operation`)
        for (const [name, { effect }] of Object.entries(operations))
          if (!['read', 'write', 'destroy'].includes(effect)) fail(`${key}.${name} has no known effect`)
      }
    },
  },
  {
    id: 'manifest.hosts',
    title: 'Hosts are named by host or by fields that the config has, never by path or wildcard',
    run: ({ manifest, fail }) => {
      const fields = Object.keys(propertiesOf(jsonSchema(manifest.config, 'input')))
      for (const host of manifest.hosts) {
        for (const [, field = ''] of host.matchAll(/\{([^}]*)\}/g))
          if (!fields.includes(field.split('.')[0] ?? ''))
            fail(`"${host}" names {${field}}, which the config does not have`)
        const plain = host.replace(/\{[^}]*\}/g, 'x').replace(/^https?:\/\//, '')
        if (!/^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::(?:\d+|x))?$/i.test(plain)) fail(`"${host}" is no host`)
      }
      if (new Set(manifest.hosts).size < manifest.hosts.length) fail('a host stands there twice')
    },
  },
  {
    id: 'manifest.secrets',
    title: 'Secrets are marked, and stand in credentials, never in config',
    run: ({ manifest, fail }) => {
      const secretSounding = (schema: z.ZodType) =>
        Object.keys(propertiesOf(jsonSchema(schema, 'input'))).filter(
          (name) => soundsSecret.test(name) && !soundsPublic.test(name),
        )
      const marked = secretFields(manifest.config)[0]
      if (marked !== undefined) fail(`config.${marked} is a secret; it belongs into the credentials`)
      const sounding = secretSounding(manifest.config)[0]
      if (sounding !== undefined) fail(`config.${sounding} sounds like a secret; it belongs into the credentials`)
      for (const [name, scheme] of Object.entries(manifest.auth ?? {})) {
        const known = secretFields(scheme.credentials)
        const open = secretSounding(scheme.credentials).find((field) => !known.includes(field))
        if (open !== undefined) fail(`auth.${name}: ${open} sounds like a secret and is not marked; use secret()`)
      }
    },
  },
  {
    id: 'manifest.streams',
    title: 'Each stream has columns, and its primary key and cursor are among them',
    applies: (manifest) => manifest.streams !== undefined,
    run: ({ manifest, fail }) => {
      for (const [name, { schema, primaryKey = [], cursor }] of Object.entries(manifest.streams ?? {})) {
        const columns = Object.keys(propertiesOf(jsonSchema(schema)))
        if (columns.length === 0) fail(`${name} has no columns`)
        for (const field of [...primaryKey, ...(cursor === undefined ? [] : [cursor])])
          if (!columns.includes(field)) fail(`${name}: ${field} is no column`)
      }
    },
  },
  {
    id: 'manifest.declared',
    title:
      'Streams that are declared with rest say only what can be said, and name only what is there: fields of the config, parents and their fields',
    applies: (manifest) => Object.values(manifest.streams ?? {}).some(({ rest }) => rest !== undefined),
    run: ({ manifest, fail }) => {
      const fields = Object.keys(propertiesOf(jsonSchema(manifest.config, 'input')))
      for (const [name, { rest }] of Object.entries(manifest.streams ?? {})) {
        const fault = restFault(manifest, name)
        if (fault !== undefined) fail(`${name}: ${fault}`)
        if (rest === undefined) continue
        const parts = rest.partitions !== undefined && 'fields' in rest.partitions ? rest.partitions.fields : {}
        const unknown = placeholders(rest).find(
          (field) => !Object.hasOwn(parts, field) && !fields.includes(field.split('.')[0] ?? ''),
        )
        if (unknown !== undefined) fail(`${name} names {${unknown}}, which neither the config nor a partition has`)
        const unused = Object.keys(parts).find((field) => !placeholders(rest).includes(field))
        if (unused !== undefined) fail(`${name} is read for each {${unused}}, which it is not asked with`)
      }
    },
  },
  {
    id: 'manifest.sinks',
    title: 'Each sink says what it takes and how, without contradiction',
    applies: (manifest) => manifest.sinks !== undefined,
    run: ({ manifest, fail }) => {
      for (const [name, { accepts, dispositions, commit, schema }] of Object.entries(manifest.sinks ?? {})) {
        if (accepts.length === 0) fail(`${name} accepts no encoding`)
        if (dispositions.length === 0) fail(`${name} has no disposition`)
        if (!['transaction', 'idempotent', 'at_least_once'].includes(commit)) fail(`${name}: no known commit`)
        if (schema !== undefined && !accepts.includes('records'))
          fail(`${name} has a schema of its own, so it must accept records, which can be checked by it`)
      }
    },
  },
]
