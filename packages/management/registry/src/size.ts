import { z } from 'zod'

const units: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }
const most = 2 ** 40
const bad = 'write page (after each page), or a size: 512KiB, 16MiB, 1GiB'
/** NaN for what is no size. */
const toBytes = (text: string): number => {
  const [, amount = '', unit = ''] = /^(\d+)(\w+)$/.exec(text) ?? []
  return Number(amount) * (units[unit] ?? NaN)
}

/** How much is read before it is committed, in bytes; `page` is 0. */
export const commitSize = z
  .string({ error: bad })
  .regex(/^(page|[1-9][0-9]{0,5}(KiB|MiB|GiB))$/, bad)
  .refine((text) => text === 'page' || toBytes(text) <= most, bad)
  .transform((text) => (text === 'page' ? 0 : toBytes(text)))
