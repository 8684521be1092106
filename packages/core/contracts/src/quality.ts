/** What a broken rule does: `warn` tells, `quarantine` puts the records aside (rules over a table as a whole: the same as `warn`), `stop` fails the stream before what breaks it becomes visible: of a pass that replaces its table nothing does, of one that commits step by step what was committed before stays. */
export type Severity = 'warn' | 'quarantine' | 'stop'

/** Something that a stream's records must keep to, beside their schema. Fields are those of the stream; where a pipeline renames them, the pipeline's own rules use the new names. */
export type QualityRule = {
  /** For reports; default made of the rule and its fields. */
  readonly name?: string
  /** Default `quarantine`. */
  readonly severity?: Severity
} & (
  | { readonly rule: 'not_null'; readonly field: string }
  /** No two rows of the table have the same values; null is a value. */
  | { readonly rule: 'unique'; readonly fields: readonly string[] }
  /** Inclusive; numbers, or times as ISO 8601. Null passes. */
  | { readonly rule: 'range'; readonly field: string; readonly min?: number | string; readonly max?: number | string }
  /** Null passes. */
  | { readonly rule: 'set'; readonly field: string; readonly values: readonly (string | number | boolean)[] }
  /** A JavaScript regular expression without flags that is found in the text. Null passes. */
  | { readonly rule: 'regex'; readonly field: string; readonly pattern: string }
  /** The newest value of a time is at most so old, in milliseconds, when the pass ends. */
  | { readonly rule: 'freshness'; readonly field: string; readonly maxAgeMs: number }
  /** How many records a complete pass brings: at all, and as a share of the median of the last `runs` (default 5) passes of the same mode; the first incremental one, which brings everything, does not count. */
  | {
      readonly rule: 'row_count'
      readonly min?: number
      readonly max?: number
      readonly atLeast?: number
      readonly atMost?: number
      readonly runs?: number
    }
  /** Each value is found in a field of another table of the sink. Null passes. */
  | { readonly rule: 'referential'; readonly field: string; readonly table: string; readonly references: string }
  /** The rows that the query gives are the faults; `{table}` stands for the table, `{table:name}` for another one of the sink. */
  | { readonly rule: 'sql'; readonly query: string }
)
