/**
 * The shape of one JSON value, as plain data: the one form from which the scanner's program, the object road and the zod schema's own rules follow.
 * Lengths count code points, as zod does; bounds are inclusive.
 */
export type Form = (
  | {
      readonly kind: 'string'
      readonly minLength?: number
      readonly maxLength?: number
      /** Sources of regular expressions, each with its flags. */
      readonly patterns?: readonly { readonly source: string; readonly flags: string }[]
      /** The only texts that are allowed. */
      readonly values?: readonly string[]
    }
  /** 64 bits; also `1.0` and `1e3`, and `-0` is 0. */
  | { readonly kind: 'integer'; readonly minimum?: bigint; readonly maximum?: bigint }
  /** An IEEE 754 double; a number that overflows it is refused. */
  | {
      readonly kind: 'double'
      readonly minimum?: number
      readonly maximum?: number
      readonly above?: number
      readonly below?: number
    }
  /** A number, or a text of plain digits; digits behind `scale` must be zeros. */
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number }
  | { readonly kind: 'boolean' }
  /** RFC 3339 with a zone and at most six digits of a second; `zoneOnlyZ` refuses offsets. */
  | { readonly kind: 'timestamp'; readonly zoneOnlyZ?: boolean }
  /** Any well-formed value. */
  | { readonly kind: 'json' }
  | { readonly kind: 'struct'; readonly fields: readonly Field[]; readonly unknownFields: 'strip' | 'refuse' }
  | { readonly kind: 'list'; readonly item: Form; readonly minLength?: number; readonly maxLength?: number }
  /** An object with any keys, each once. */
  | { readonly kind: 'map'; readonly value: Form }
) & { readonly nullable?: boolean }

export interface Field {
  readonly name: string
  readonly form: Form
  /** May be missing, which is not the same as null. */
  readonly optional?: boolean
}
export type Struct = Extract<Form, { kind: 'struct' }>

/** Why a record, or a page, is refused; `field` is the dotted path inside the record. */
export interface Refusal {
  readonly field: string
  readonly reason: string
}

/** The deepest nesting that is read. */
export const deepest = 512
/** A signed integer of 64 bits. */
export const int64Range = { minimum: -(2n ** 63n), maximum: 2n ** 63n - 1n } as const
