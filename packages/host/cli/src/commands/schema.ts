import { ecosystemSchema } from '@ecokit/registry/file'
import type { Invocation } from '../program.ts'
import { exits } from '../usage.ts'

/** Prints the JSON Schema of `ecosystem.yaml` for the connectors at hand. */
export const schema = async ({ terminal, connectors }: Invocation): Promise<number> => {
  await terminal.out(`${JSON.stringify(ecosystemSchema(await connectors()), undefined, 2)}\n`)
  return exits.done
}
