import type { QualityRule } from '@ecokit/contracts'
import type { z } from 'zod'
import type { PipelineStreamEntry, SchemaContractEntry } from './ecosystem.ts'
import type { Quality, StreamOptions } from './pipeline-shape.ts'

/** The fields that are said; what is undefined is left out. */
export const said = <T extends object>(fields: T): { readonly [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never

/** A rule of the file in the words of the contract. */
const toRule = (given: z.output<typeof Quality>): QualityRule => {
  if (given.rule === 'freshness') {
    const { max_age: maxAgeMs, ...rest } = given
    return said({ ...rest, maxAgeMs }) as QualityRule
  }
  if (given.rule === 'row_count') {
    const { at_least: atLeast, at_most: atMost, ...rest } = given
    return said({ ...rest, atLeast, atMost })
  }
  return said(given) as QualityRule
}

/** A stream of a pipeline in the words of the sync engine. */
export const toStreamEntry = (
  stream: string,
  { lag, allow_duplicates: allowDuplicates, quality, contract, cast, ...rest }: z.output<typeof StreamOptions>,
): PipelineStreamEntry => ({
  stream,
  ...said({
    ...rest,
    lagMs: lag,
    allowDuplicates,
    cast: cast as PipelineStreamEntry['cast'],
    contract: contract && (said(contract) as SchemaContractEntry),
    quality: quality?.map(toRule),
  }),
})
