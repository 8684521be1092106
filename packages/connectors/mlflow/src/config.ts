import { z } from 'zod'

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

const isPlain = (text: string): boolean => {
  const url = URL.parse(text)
  return url !== null && url.search === '' && url.hash === '' && url.username === '' && url.password === ''
}

export const config = z.strictObject({
  trackingUri: z
    .url({ protocol: /^https?$/, error: 'expected an http(s) URL, such as http://127.0.0.1:5000' })
    .refine(isPlain, 'a tracking URI has no user name, query or fragment')
    .describe('Where the tracking server answers, with its path when it stands behind one'),
  lag: z
    .string()
    .regex(/^\d+(ms|s|m|h|d)$/, 'expected a duration, such as 90s, 10m or 1h')
    .default('10m')
    .transform((text) => {
      const [, count = '', unit = 'ms'] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? []
      return Number(count) * units[unit as keyof typeof units]
    })
    .describe('How far behind the newest end of a run an incremental read of runs and metrics starts again'),
})
