import { each, walkPages } from '@ecokit/connect/reading'
import type { ApiImplementation, CallOptions } from '@ecokit/contracts'
import type { MlflowFile, MlflowRest } from '@ecokit/protocol-mlflow-rest'
import type { artifacts as capability } from '@ecokit/template-mlops'

/** The pages of a folder, and of the folders below when they are wanted too. */
async function* pagesOf(
  api: MlflowRest,
  asked: { readonly runId: string; readonly path: string | undefined; readonly recursive: boolean },
  options: CallOptions,
): AsyncGenerator<readonly MlflowFile[]> {
  const { runId, recursive } = asked
  const folders: (string | undefined)[] = [asked.path]
  for (const path of folders) {
    const ask = (pageToken: string | undefined) => api.artifacts.page({ runId, path, pageToken }, options)
    for await (const { items } of walkPages(api.partner, 'artifacts', ask)) {
      yield items
      if (recursive) folders.push(...items.filter(({ directory }) => directory).map((folder) => folder.path))
    }
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
