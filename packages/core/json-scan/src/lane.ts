import { Buffer } from 'node:buffer'
import type { Form } from './form.ts'
import { programOf } from './program.ts'
import { proverOf } from './prove.ts'
import { textRefusal } from './road.ts'
import { behindInput, freeAt, instantiate, makeRoom } from './module.ts'

/** Proves many plain records at once. */
export interface Lane {
  /** The page where the lane can read it; what is given is good until the next call. */
  load(page: Uint8Array): Uint8Array
  /** Proves records from `at` on and writes a line end over each comma. Gives the place of the closing bracket, or -1 minus the place of a record that it cannot prove. */
  run(page: Uint8Array, at: number): number
  /** The same for lines: proves records from `at` on, each ended by a line feed, or the last by the end of the bytes. Gives the length, or -1 minus the place of a line that it cannot prove. */
  runLines(bytes: Uint8Array, at: number): number
  /** How many records the last run proved. */
  count(): number
}

/** The lane in JavaScript: what the faster one must agree with, and what runs where WebAssembly may not. */
export const plainLane = (form: Form): Lane => {
  const prove = proverOf(form)
  let rows = 0
  return {
    load: (page) => page,
    run: (page, from) => {
      rows = 0
      for (let at = from; ;) {
        const end = prove(page, at)
        const code = end < 0 ? undefined : page[end]
        if (code !== 44 && code !== 93) return -1 - at
        rows++
        if (code === 93) return end
        page[end] = 10
        at = end + 1
      }
    },
    runLines: (bytes, from) => {
      rows = 0
      for (let at = from; at < bytes.length;) {
        const end = prove(bytes, at)
        if (end < 0 || (end < bytes.length && bytes[end] !== 10)) return -1 - at
        rows++
        at = end + 1
      }
      return bytes.length
    },
    count: () => rows,
  }
}

const keysOfMap = 64 * 8

/** The lane in WebAssembly. Compiles nothing at run time but the module itself, once a process. */
export const wasmLane = (form: Form): Lane => {
  const programAt = (freeAt + 63) & ~63
  const program = programOf(form, programAt)
  const scratch = (programAt + program.bytes.length + 63) & ~63
  const pageAt = (scratch + keysOfMap * (program.mapDepth + 1) + 63) & ~63
  const { memory, exports } = instantiate(pageAt, {
    matches: (pattern, start, end) => {
      const wanted = program.patterns[pattern]
      const text = Buffer.from(memory.buffer, start, end - start).toString('utf8')
      return wanted !== undefined && textRefusal({ kind: 'string', patterns: [wanted] }, text) === undefined ? 1 : 0
    },
  })
  const { prepareScan, scan, scanLines, rows } = exports
  prepareScan(scratch)
  new Uint8Array(memory.buffer).set(program.bytes, programAt)
  return {
    load: (page) => {
      const all = makeRoom(memory, pageAt + page.length + behindInput)
      all.set(page, pageAt)
      all.fill(0, pageAt + page.length, pageAt + page.length + behindInput)
      return all.subarray(pageAt, pageAt + page.length)
    },
    run: (_page, at) => {
      const stop = scan(program.start, pageAt + at)
      return stop < 0 ? stop + pageAt : stop - pageAt
    },
    runLines: (bytes, at) => {
      const stop = scanLines(program.start, pageAt + at, pageAt + bytes.length)
      return stop < 0 ? stop + pageAt : stop - pageAt
    },
    count: () => rows.value,
  }
}
