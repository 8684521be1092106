import type { IntegrationError } from '@ecokit/contracts'
import type { Known, PlannedStream } from './plan.ts'
import { propertiesOf } from './schemas.ts'
import type { PipelineStream, SchemaChange } from './types.ts'

/** The plan of a stream that cannot be planned and is not run: nothing but its names and the error is sure. */
export const haltedPlan = (
  wanted: PipelineStream,
  { table, cursor }: Known,
  halted: IntegrationError,
  drift: readonly SchemaChange[] = [],
): PlannedStream => {
  const name = wanted.table ?? wanted.stream
  return {
    stream: wanted.stream,
    wanted,
    table: name,
    mode: wanted.mode ?? 'full_refresh',
    disposition: wanted.disposition ?? 'append',
    lagMs: wanted.lagMs,
    deletes: 'ignore',
    prunes: false,
    target: { ...table, name },
    origin: table,
    mapping: {
      fields: Object.keys(propertiesOf(table.schema)).map((field) => ({ field, column: field })),
      columns: undefined,
      guards: [],
      perRecord: false,
    },
    cursor,
    rules: [],
    window: undefined,
    drift,
    halted,
    skipped: false,
  }
}
