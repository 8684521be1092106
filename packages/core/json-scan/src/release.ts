/** Buffers below this are left to the collector. */
const worthIt = 65_536

/**
 * Frees bytes that nobody reads any more, where they are the whole of their memory: the collector, which sees little of it, would come for every few pages of them.
 * Whoever still holds them finds them empty, never with other content.
 */
export const release = (bytes: Uint8Array): void => {
  const { buffer, byteOffset, byteLength } = bytes
  if (byteLength < worthIt || byteOffset !== 0 || byteLength !== buffer.byteLength) return
  const { transfer } = buffer as { readonly transfer?: (length: number) => ArrayBuffer }
  transfer?.call(buffer, 0)
}
