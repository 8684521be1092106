import { isIntegrationError, jsonSchema, secretFields } from '@ecokit/contracts'
import { canariesOf, shows } from '../canary.ts'
import { mustRefuse } from './config.ts'
import type { Rule, RuleContext } from '../types.ts'

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

/** The sample credentials with their secrets replaced by others of the same length. */
const wrongOf = ({ manifest, options, skip }: RuleContext): unknown => {
  if (options.wrongCredentials !== undefined) return options.wrongCredentials
  const { credentials } = options
  if (!isObject(credentials)) return skip('the sample needs no credentials; give wrongCredentials to try it')
  const scheme = manifest.auth?.[String(credentials['scheme'])]
  const secrets = scheme === undefined ? [] : secretFields(scheme.credentials)
  if (secrets.length === 0) return skip('the sample has no secret; give wrongCredentials to try it')
  const entries = Object.entries(credentials).map(([name, value]) => [
    name,
    secrets.includes(name) && typeof value === 'string' ? 'x'.repeat(value.length) : value,
  ])
  return Object.fromEntries(entries) as unknown
}

export const authRules: readonly Rule[] = [
  {
    id: 'auth.schemes',
    title: 'A scheme that is not declared, or none where one is needed, is refused with the list of those that are',
    run: (context) => {
      const { manifest, options, fail } = context
      const names = Object.keys(manifest.auth ?? {})
      const unknown = mustRefuse(
        context,
        'an unknown scheme',
        { credentials: { scheme: 'no_such_scheme' } },
        'invalid_credentials',
        names.length === 0 ? 'credentials' : 'credentials.scheme',
      )
      for (const name of names)
        if (!unknown.includes(name)) fail(`the refusal of an unknown scheme does not name ${name}`)
      for (const [name, { kind }] of Object.entries(manifest.auth ?? {}))
        if (!/^[a-z][a-z0-9_]*$/.test(kind))
          fail(`auth.${name}: the kind "${kind}" is not the field's own word in snake_case`)
      if (isObject(options.credentials) && !names.includes(String(options.credentials['scheme'])) && names.length > 0)
        fail('the sample credentials are of no scheme that is declared')
    },
  },
  {
    id: 'auth.fields',
    title: 'Credentials that lack a field, or have one too many, are refused by its name and without a value',
    applies: (manifest) => manifest.auth !== undefined,
    run: (context) => {
      const { manifest, options, fail } = context
      for (const { scheme, credentials, words } of canariesOf(manifest, options.credentials)) {
        const schema = manifest.auth?.[scheme]?.credentials
        const required =
          schema === undefined ? [] : ((jsonSchema(schema, 'input')['required'] ?? []) as readonly string[])
        const messages = required.map((field) => {
          const rest = Object.fromEntries(Object.entries(credentials).filter(([name]) => name !== field))
          return mustRefuse(
            context,
            `${scheme} without ${field}`,
            { credentials: rest },
            'invalid_credentials',
            `credentials.${field}`,
          )
        })
        for (const message of messages) if (shows(message, words)) fail(`the refusal of ${scheme} shows a secret`)
        try {
          context.connect({ credentials: { ...credentials, misspelt_key: 1 } })
          fail(`${scheme} with an unknown key was accepted`)
        } catch (error) {
          if (!isIntegrationError(error)) throw error
          if (shows(error, words)) fail(`the refusal of ${scheme} shows a secret`)
        }
      }
    },
  },
  {
    id: 'auth.wrong',
    title: 'Credentials that the partner refuses make the check unhealthy with unauthenticated or forbidden',
    applies: (manifest) => manifest.auth !== undefined,
    run: async (context) => {
      const { connect, within, fail } = context
      const connection = connect({ credentials: wrongOf(context) })
      const health = await within('the check', connection.check())
      if (health.status !== 'unhealthy') fail(`the check says ${health.status}`)
      if (health.code !== 'unauthenticated' && health.code !== 'forbidden')
        fail(`the check says ${String(health.code)}: ${String(health.message)}`)
    },
  },
]
