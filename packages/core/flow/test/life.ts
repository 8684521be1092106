import type { Store } from '@ecokit/store'
import type { KyselyPlugin } from 'kysely'

/** The life of a process: it dies at its last step, and nothing that it tries afterwards happens. */
export const lifeOf = (steps: number) => {
  let left = steps
  return {
    step: (): void => {
      left -= 1
      if (left < 0) throw new Error('killed')
    },
    isOver: () => left < 0,
  }
}
export type Life = ReturnType<typeof lifeOf>

/** The store as a mortal process sees it: it dies at any statement, before it is run. */
export const storeOf = (store: Store, life: Life): Store => {
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => {
      life.step()
      return node
    },
    transformResult: ({ result }) => Promise.resolve(result),
  }
  const alive =
    <Arguments extends unknown[], Result>(call: (...given: Arguments) => Promise<Result>) =>
    async (...given: Arguments): Promise<Result> => {
      life.step()
      return call(...given)
    }
  return {
    ...store,
    db: store.db.withPlugin(plugin),
    lease: alive((...given: Parameters<Store['lease']>) => store.lease(...given)),
    renew: alive((...given: Parameters<Store['renew']>) => store.renew(...given)),
    release: alive((...given: Parameters<Store['release']>) => store.release(...given)),
    leaseHolder: alive((...given: Parameters<Store['leaseHolder']>) => store.leaseHolder(...given)),
  }
}
