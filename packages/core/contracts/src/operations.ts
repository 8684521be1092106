import type { z } from 'zod'

export interface CallOptions {
  /** Ends the call with code `cancelled`, wherever it waits. */
  readonly signal?: AbortSignal | undefined
}

/** `read` changes nothing at the partner; `write` adds or changes; `destroy` removes. Decides retries, roles and what a host asks before it calls. */
export type Effect = 'read' | 'write' | 'destroy'

/** One thing that a partner can do, as data: hosts list, check, authorise, audit, retry and offer it without knowing the connector. */
export interface Operation<
  In extends z.ZodType = z.ZodType,
  Out extends z.ZodType = z.ZodType,
  Many extends boolean = boolean,
> {
  /** One line for menus and command lines. */
  readonly title?: string
  /** A strict object; hosts draw a form from it. */
  readonly input: In
  readonly output: Out
  readonly effect: Effect
  /** True where calling twice is the same as calling once; a `read` always is. */
  readonly idempotent?: boolean
  /** True: an AsyncIterable of outputs. False: a Promise of one. */
  readonly many: Many
}

export type Operations = Readonly<Record<string, Operation>>
/** A group of operations that several connectors may provide alike; its identity is `id` (`template.name`) and `version`, never its key on a connection. */
export interface Capability<O extends Operations = Operations> {
  readonly id: `${string}.${string}`
  /** Raised when an operation is removed, renamed or changes its meaning. */
  readonly version: number
  readonly operations: O
}

/** Declares an operation that answers once. */
export const one = <I extends z.ZodType, O extends z.ZodType>(
  operation: Omit<Operation<I, O, false>, 'many'>,
): Operation<I, O, false> => ({ ...operation, many: false })
/** Declares an operation that answers with a sequence. */
export const many = <I extends z.ZodType, O extends z.ZodType>(
  operation: Omit<Operation<I, O, true>, 'many'>,
): Operation<I, O, true> => ({ ...operation, many: true })
/** Declares a capability and keeps its literal types. */
export const capability = <const C extends Capability>(declared: C): C => declared

type Call<O> =
  O extends Operation<infer I, infer R, infer M>
    ? (input: z.input<I>, options?: CallOptions) => M extends true ? AsyncIterable<z.output<R>> : Promise<z.output<R>>
    : never
type Implementation<O> =
  O extends Operation<infer I, infer R, infer M>
    ? (input: z.output<I>, options: CallOptions) => M extends true ? AsyncIterable<z.input<R>> : Promise<z.input<R>>
    : never

/** What the user of a connection calls: inputs as people write them, outputs checked. */
export type Api<C> = C extends Capability<infer Ops> ? { readonly [N in keyof Ops]: Call<Ops[N]> } : never
/** What a connector writes: inputs checked already, outputs as the partner gave them. */
export type ApiImplementation<C> =
  C extends Capability<infer Ops> ? { readonly [N in keyof Ops]: Implementation<Ops[N]> } : never
