import { afterAll } from 'vitest'
import { requirePeer } from '../../peers/vitest.ts'
import { httpKinds, type HttpKind } from '../index.ts'
import { tcpKinds, type Kind } from './cells.ts'

/** So many seeds for every cell; a seeded share of the cells where it is not set. */
export const seeds = Number(process.env['ECOKIT_FAULT_SEEDS'] ?? 0)
const pattern = process.env['ECOKIT_FAULT_ONLY']
/** Which cells, by their names. */
export const only = pattern === undefined ? undefined : new RegExp(pattern)

/** The peers, the kinds of fault that they allow, and every rejection that nobody handles while the file runs. */
export const openSetting = async () => {
  const [peer, toxiproxy] = await Promise.all([requirePeer('mlflow'), requirePeer('toxiproxy')])
  const kinds: readonly Kind[] = [
    ...(Object.keys(httpKinds) as HttpKind[]),
    ...(toxiproxy.missing === undefined ? tcpKinds.map((kind): Kind => `tcp ${kind}`) : []),
  ]
  const unhandled: unknown[] = []
  const listen = (reason: unknown) => void unhandled.push(reason)
  process.on('unhandledRejection', listen)
  afterAll(() => void process.off('unhandledRejection', listen))
  return { peer, toxiproxy, kinds, unhandled }
}
