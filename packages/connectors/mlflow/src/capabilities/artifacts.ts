import type { ApiImplementation, CallOptions } from '@ecokit/contracts'
import { onward, type MlflowFile, type MlflowRest } from '@ecokit/protocol-mlflow-rest'
import type { artifacts as capability } from '@ecokit/template-mlops'
import { each } from './sequences.ts'

/** The pages of a folder, and of the folders below when they are wanted too. */
async function* pagesOf(
  api: MlflowRest,
  asked: { readonly runId: string; readonly path: string | undefined; readonly recursive: boolean },
  options: CallOptions,
): AsyncGenerator<readonly MlflowFile[]> {
  const { runId, recursive } = asked
  const folders: (string | undefined)[] = [asked.path]
  for (const path of folders) {
    const onto = onward(api.partner, 'artifacts')
    let pageToken: string | undefined
    do {
      const { items, next } = await api.artifacts.page({ runId, path, pageToken }, options)
      yield items
      if (recursive) folders.push(...items.filter(({ directory }) => directory).map((folder) => folder.path))
      pageToken = onto(next)
    } while (pageToken !== undefined)
  }
}

export const artifacts = (api: MlflowRest): ApiImplementation<typeof capability> => ({
  list: ({ runId, path, recursive, limit }, options) =>
    each(pagesOf(api, { runId, path, recursive }, options), limit, (file) => file),
  download: async ({ runId, path }, options) => {
    const { headers, body } = await api.artifacts.download(runId, path, options)
    const size = headers.get('content-length')
    const type = headers.get('content-type')
    return {
      body,
      ...(size === null || headers.has('content-encoding') ? {} : { size: Number(size) }),
      ...(type === null ? {} : { type }),
    }
  },
  upload: ({ runId, path, body }, options) => api.artifacts.upload(runId, path, body, options),
})
