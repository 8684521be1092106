import { fives } from './fives.ts'
import { wasm } from './scan.wasm.ts'

/** What is used of the global that browsers and Node share; the libraries of TypeScript have it only together with the whole of a browser. */
interface Module {
  readonly [brand]: true
}
declare const brand: unique symbol
export interface Memory {
  readonly buffer: ArrayBuffer
  grow(pages: number): number
}
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => Module
  readonly Memory: new (options: { readonly initial: number }) => Memory
  readonly Instance: new (module: Module, imports: object) => { readonly exports: object }
}

/** What is used of assembly/scan.ts and assembly/fill.ts. */
interface Exports {
  readonly prepare: (at: number) => void
  readonly prepareNumbers: (at: number) => void
  readonly prepareScan: (scratch: number) => void
  readonly prepareFill: (longest: number, room: number, list: number, listRoom: number, scratch: number) => void
  readonly rows: { readonly value: number }
  readonly scan: (program: number, at: number) => number
  readonly scanLines: (program: number, at: number, end: number) => number
  readonly filled: { readonly value: number }
  readonly longTexts: { readonly value: number }
  readonly fill: (fields: number, count: number, at: number, end: number) => number
  readonly rebase: (field: number, by: bigint) => void
}

/** The module reads 16 bytes at once, and a time of 32 without asking: so much may be read behind what it is given. */
export const behindInput = 64
const memoryPage = 65_536
const tablesAt = 1024
const fivesAt = tablesAt + 17 * 16 + 23 * 8 + 8
/** The first place behind the tables of the module. */
export const freeAt = fivesAt + 651 * 16

let compiled: Module | undefined

/** The module with a memory of its own, in which `size` bytes have room at first. Compiles nothing at run time but the module itself, once a process. */
export const instantiate = (
  size: number,
  imports: { readonly matches?: (pattern: number, start: number, end: number) => number },
): { readonly memory: Memory; readonly exports: Exports } => {
  compiled ??= new WebAssembly.Module(Buffer.from(wasm, 'base64'))
  const memory = new WebAssembly.Memory({ initial: Math.ceil((size + memoryPage) / memoryPage) })
  const toNumber = (start: number, end: number): number =>
    Number(Buffer.from(memory.buffer, start, end - start).toString('latin1'))
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory, toNumber, matches: () => 0, ...imports } })
  const made = exports as Exports
  made.prepare(tablesAt)
  made.prepareNumbers(fivesAt)
  new Uint8Array(memory.buffer).set(fives(), fivesAt)
  return { memory, exports: made }
}

/** Sees to it that the memory has `size` bytes, and gives them all. What was given before may be detached. */
export const makeRoom = (memory: Memory, size: number): Uint8Array => {
  const has = memory.buffer.byteLength
  if (size > has) memory.grow(Math.ceil((size - has) / memoryPage))
  return new Uint8Array(memory.buffer)
}
