/** Calls `work` for each item, so many at a time, and waits for all; a call that throws keeps further ones from beginning. */
export const eachOf = async <T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> => {
  const left = items.values()
  let failed = false
  const lane = async (): Promise<void> => {
    for (const item of left) {
      if (failed) return
      try {
        await work(item)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const lanes = Array.from({ length: Math.min(atOnce, items.length) }, lane)
  const ended = await Promise.allSettled(lanes)
  const thrown = ended.find((one) => one.status === 'rejected')
  if (thrown !== undefined) throw thrown.reason
}
