import { ecosystemSchema } from '@ecokit/registry/file'
import { loadConnectors } from '../connectors.ts'
import type { Invocation } from '../program.ts'
import { exits } from '../usage.ts'

/** Prints the JSON Schema of `ecosystem.yaml` for the connectors at hand. */
export const schema = async ({ terminal }: Invocation): Promise<number> => {
  await terminal.out(`${JSON.stringify(ecosystemSchema(await loadConnectors()), undefined, 2)}\n`)
  return exits.done
}
