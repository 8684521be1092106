import { callsBreakers } from './bad-calls.ts'
import { dataBreakers } from './bad-data.ts'
import { settingsBreakers } from './bad-settings.ts'
import type { Bad } from './bend.ts'

/** One connector for each rule, which breaks that one only; `elsewhere` is a server that no manifest declares. */
export const badConnectors = (elsewhere: string): readonly Bad[] => [
  ...settingsBreakers(),
  ...callsBreakers(elsewhere),
  ...dataBreakers(),
]
