import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import type { Target } from './client.ts'

/** What is known about a server without asking it. `untold`: it has an address and no token. */
export type Located =
  | { readonly kind: 'absent' }
  | { readonly kind: 'untold'; readonly url: string; readonly reason: string }
  | ({ readonly kind: 'found' } & Target)

const serverFile = z.object({ url: z.string(), pid: z.number().optional() })

/** The origin of an address of this machine; undefined for any other, so that a file in a workspace cannot send us elsewhere. */
export const localOrigin = (address: string): string | undefined => {
  if (!URL.canParse(address)) return undefined
  const { protocol, hostname, origin } = new URL(address)
  const local = hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
  return local && (protocol === 'http:' || protocol === 'https:') ? origin : undefined
}

const alive = (pid: number | undefined): boolean => {
  if (pid === undefined) return true
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

interface Announced {
  readonly url: string
  readonly alive: boolean
  readonly token: string | undefined
}

/** What `ecokit up` left beside an ecosystem.yaml; undefined where there is nothing, or an address that is not of this machine. */
const readAnnounced = async (folder: string): Promise<Announced | undefined> => {
  const read = (name: string): Promise<string | undefined> =>
    readFile(path.join(folder, '.ecokit', name), 'utf8').catch(() => undefined)
  const text = await read('server.json')
  if (text === undefined) return undefined
  try {
    const { url, pid } = serverFile.parse(JSON.parse(text))
    const origin = localOrigin(url)
    const token = (await read('token'))?.trim()
    return origin === undefined
      ? undefined
      : { url: origin, alive: alive(pid), token: token === '' ? undefined : token }
  } catch {
    return undefined
  }
}

/**
 * Finds the server: the address from the settings where there is one, else the first that is announced beside an ecosystem file, one whose process runs
 * before one that was left behind. A token from a file goes only to the server that is announced beside it; `storedToken` is asked for by the address.
 */
export const locate = async (known: {
  readonly serverUrl: string
  readonly folders: readonly string[]
  readonly storedToken: (url: string) => PromiseLike<string | undefined>
}): Promise<Located> => {
  const announced = (await Promise.all(known.folders.map(readAnnounced))).filter((entry) => entry !== undefined)
  const wanted = known.serverUrl.trim()
  const url = wanted === '' ? (announced.find((entry) => entry.alive) ?? announced[0])?.url : localOrigin(wanted)
  if (url === undefined) {
    if (wanted === '') return { kind: 'absent' }
    return { kind: 'untold', url: wanted, reason: `ecokit.serverUrl is not an address of this machine: ${wanted}` }
  }
  const token = announced.find((entry) => entry.url === url)?.token ?? (await known.storedToken(url))
  if (token === undefined)
    return {
      kind: 'untold',
      url,
      reason: `There is no token for ${url}: neither beside it in .ecokit/token nor stored`,
    }
  return { kind: 'found', url, token }
}
