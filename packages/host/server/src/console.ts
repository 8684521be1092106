import { readdir, readFile } from 'node:fs/promises'
import { extname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Context } from 'hono'
import { failure } from './reply.ts'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
}

const notBuilt = `<!doctype html><html lang="en"><meta charset="utf-8"><title>ecokit</title>
<h1>The console is not built</h1><p>Build it with <code>pnpm build</code> and load this page again. The API answers under <code>/api</code>;
<a href="/openapi.json">its description</a> is there already.</p></html>`

// Only names that a listing of the folder gave can be asked for, so no spelling of `..` leads anywhere.
const list = async (folder: string): Promise<ReadonlyMap<string, string>> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return new Map(files.map((file) => [`/${relative(folder, file).replaceAll('\\', '/')}`, file]))
}

/** Serves the console's files; without them, a page that says how to build it. */
export const serveConsole = (directory: URL | undefined) => async (context: Context) => {
  const path = context.req.path === '/' ? '/index.html' : context.req.path
  const file = directory === undefined ? undefined : (await list(fileURLToPath(directory))).get(path)
  if (file !== undefined)
    return context.body(new Uint8Array(await readFile(file)), 200, {
      'content-type': types[extname(file)] ?? 'application/octet-stream',
    })
  if (path === '/index.html') return context.html(notBuilt)
  return failure('not_found', `there is no ${path}`)
}
