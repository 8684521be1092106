import { useEffect, useRef, useState } from 'preact/hooks'
import { api, type LineageEvent, type Quality, type Quarantined, type Run } from './api.ts'
import { paced, type Paced } from './pace.ts'
import { tellFailure } from './state.ts'

/** What a run has found out about its data so far. */
export interface Findings {
  readonly events: readonly LineageEvent[]
  readonly quality: readonly Quality[]
  readonly quarantined: readonly Quarantined[]
}

const none: Findings = { events: [], quality: [], quarantined: [] }
/** No event brings these, so they are asked for when the run has got on. */
const everyMs = 2_000

/** The findings of a run; again with each step of it, as far as it is worth it, and at once when it has ended. */
export const useFindings = (id: string, run: Run | undefined): Findings => {
  const [findings, setFindings] = useState<Findings>(none)
  const pace = useRef<Paced | undefined>(undefined)
  useEffect(() => {
    let shown = true
    const read = async (): Promise<void> => {
      const [events, quality, quarantined] = await Promise.all([api.lineage(id), api.quality(id), api.quarantine(id)])
      if (shown) setFindings({ events, quality, quarantined })
    }
    const opened = paced(() => read().catch(tellFailure), everyMs)
    pace.current = opened
    setFindings(none)
    return () => {
      shown = false
      opened.stop()
    }
  }, [id])
  useEffect(() => pace.current?.ask(run?.status !== 'running'), [id, run])
  return findings
}
