import type { Fill } from './fill.ts'
import { fieldTable, layoutOf, longRoom } from './fill-layout.ts'
import type { Form } from './form.ts'
import { behindInput, freeAt, instantiate, makeRoom } from './module.ts'

/** The filler in WebAssembly. */
export const wasmFill = (form: Form): Fill => {
  const scratch = (freeAt + 63) & ~63
  const list = scratch + 512
  const mostFields = layoutOf(form, 0).columns.length
  // One row may add a long text in each of its fields after the list was nearly full.
  const layout = layoutOf(form, list + (longRoom + mostFields) * 16)
  const tableAt = layout.end
  const table = fieldTable(layout, tableAt)
  const inputAt = (tableAt + table.length + 63) & ~63
  const { memory, exports } = instantiate(inputAt, {})
  const { prepareFill, fill, filled, longTexts, rebase } = exports
  prepareFill(layout.longest, layout.room, list, longRoom, scratch)
  new Uint8Array(memory.buffer).set(table, tableAt)
  let at = inputAt
  let end = inputAt
  return {
    columns: layout.columns,
    buffer: () => memory.buffer,
    load: (bytes) => {
      at = inputAt
      end = inputAt + bytes.length
      const all = makeRoom(memory, end + behindInput)
      all.set(bytes, inputAt)
      all.fill(0, end, end + behindInput)
    },
    next: () => {
      if (at >= end) return 0
      const next = fill(tableAt, layout.columns.length, at, end)
      if (next < 0) return next + inputAt
      at = next
      return filled.value
    },
    hasNulls: (column) => new Int32Array(memory.buffer, tableAt + column * 64, 16)[13] === 1,
    blobLength: (column) => new Int32Array(memory.buffer, tableAt + column * 64, 16)[8] ?? 0,
    rebase: (column, address) => {
      rebase(tableAt + column * 64, address)
    },
    longTexts: () => {
      const words = new Int32Array(memory.buffer, list, longTexts.value * 4)
      return Array.from({ length: longTexts.value }, (_, index) => {
        const [column = 0, row = 0, start = 0, length = 0] = words.subarray(index * 4, index * 4 + 4)
        return { column, row, bytes: new Uint8Array(memory.buffer, start, length) }
      })
    },
  }
}
