/** The exit codes of every command. */
export const exits = { done: 0, failed: 1, usage: 2 } as const

/** A command line that cannot be carried out as it stands; ends with exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Throws where the file has no pipeline of this name: an empty list would hide a misspelling. */
export const checkPipelineName = (
  { pipelines, filename }: { readonly pipelines: readonly { readonly name: string }[]; readonly filename: string },
  name: string | undefined,
): void => {
  if (name === undefined || pipelines.some((pipeline) => pipeline.name === name)) return
  throw new UsageError(
    `there is no pipeline ${name} in ${filename}. ${pipelines.length === 0 ? 'Add one' : `Choose from: ${pipelines.map((one) => one.name).join(', ')}`}`,
  )
}
