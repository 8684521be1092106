export { parseEcosystem, formatProblem, valueOfField } from './parse.ts'
export type { ParseOptions, Parsed } from './parse.ts'
export type { Problem } from './source.ts'
export type {
  CredentialsReference,
  Ecosystem,
  LineageEntry,
  NamedReference,
  NetworkEntry,
  PartnerEntry,
  PipelineEntry,
  PipelineStreamEntry,
  ScheduleEntry,
  SchemaContractEntry,
} from './ecosystem.ts'
export type { Tier } from './shape.ts'
export { secretNameFor } from './references.ts'
export { ecosystemSchema } from './json-schema.ts'
