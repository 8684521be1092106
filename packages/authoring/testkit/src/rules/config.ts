import { isIntegrationError, jsonSchema } from '@ecokit/contracts'
import type { ErrorCode } from '@ecokit/contracts'
import type { Rule, RuleContext } from '../types.ts'

/** Refuses to connect, with this code, naming this field. */
export const mustRefuse = (
  context: RuleContext,
  what: string,
  as: { readonly config?: unknown; readonly credentials?: unknown },
  code: ErrorCode,
  field: string,
): string => {
  try {
    context.connect(as)
  } catch (error) {
    if (!isIntegrationError(error, code))
      return context.fail(`${what} ended with another error than ${code}: ${String(error)}`)
    const named: unknown = 'field' in error.details ? error.details.field : undefined
    if (named !== field) return context.fail(`${what} was refused naming ${String(named)} and not ${field}`)
    if (!error.message.includes(field))
      return context.fail(`${what} was refused without naming ${field} in the message`)
    return error.message
  }
  return context.fail(`${what} was accepted`)
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

export const configRules: readonly Rule[] = [
  {
    id: 'config.accepts',
    title: 'The sample config is accepted, and is plain JSON',
    run: ({ connect, options, fail }) => {
      connect()
      const copy: unknown = JSON.parse(JSON.stringify(options.config))
      try {
        connect({ config: copy })
      } catch (error) {
        fail(`the config is refused after a way through JSON: ${String(error)}`)
      }
    },
  },
  {
    id: 'config.strict',
    title: 'A key that the config does not know is refused by its name',
    run: (context) => {
      if (!isObject(context.options.config)) return context.skip('the config is no object')
      const config = { ...context.options.config, misspelt_key: 1 }
      mustRefuse(context, 'an unknown key', { config }, 'invalid_config', 'config.misspelt_key')
    },
  },
  {
    id: 'config.refuses',
    title: 'Every invalid config, and every missing field, is refused naming the field',
    run: (context) => {
      const { options, manifest } = context
      for (const { config, field } of options.invalidConfigs ?? [])
        mustRefuse(context, `the invalid config for ${field}`, { config }, 'invalid_config', field)
      const required = (jsonSchema(manifest.config, 'input')['required'] ?? []) as readonly string[]
      for (const field of required) {
        const config = Object.fromEntries(Object.entries(options.config as object).filter(([key]) => key !== field))
        mustRefuse(context, `a config without ${field}`, { config }, 'invalid_config', `config.${field}`)
      }
      if (required.length === 0 && options.invalidConfigs === undefined) context.skip('every field may be left out')
    },
  },
]
