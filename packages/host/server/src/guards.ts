import type { AnyConnector, CircuitState, Shared } from '@ecokit/contracts'
import { openGuard } from '@ecokit/http'
import type { Guard } from '@ecokit/http'
import type { Registry } from '@ecokit/registry'

/** One guard for each partner: the health checks, the syncs and the API share its pace, its circuit and its queue. */
export interface Guards {
  /** The partner's guard, with the policy that its entry says over its connector's. Throws `not_found`. */
  of(partner: string): Promise<Guard>
  /** Puts a changed policy into force at once. */
  renew(partner: string): Promise<void>
  forget(partner: string): void
  circuit(partner: string): CircuitState | undefined
  onChange(callback: (partner: string) => void): () => void
}

interface Held {
  readonly guard: Guard
  /** The policy that it was told, as text. */
  said: string
}

/** Opens the guards of a registry's partners; each comes into being with its first connection. */
export const openGuards = (registry: Registry, connectors: readonly AnyConnector[], shared: Shared): Guards => {
  const guards = new Map<string, Held>()
  const listeners = new Set<(partner: string) => void>()
  const of = async (partner: string): Promise<Guard> => {
    const record = await registry.get(partner)
    const manifest = connectors.find(({ manifest: { id } }) => id === record.connector)?.manifest
    const policy = { ...manifest?.policy, ...record.policy }
    const said = JSON.stringify(policy)
    const held = guards.get(partner)
    if (held !== undefined) {
      // Another process may have changed it.
      if (held.said !== said) held.guard.setPolicy(policy)
      held.said = said
      return held.guard
    }
    const onChange = () => {
      for (const listener of listeners) listener(partner)
    }
    const guard = openGuard({ partner, policy, shared, onChange })
    guards.set(partner, { guard, said })
    return guard
  }
  return {
    of,
    renew: async (partner) => {
      if (guards.has(partner)) await of(partner)
    },
    forget: (partner) => void guards.delete(partner),
    circuit: (partner) => guards.get(partner)?.guard.state().circuit,
    onChange: (callback) => {
      listeners.add(callback)
      return () => void listeners.delete(callback)
    },
  }
}
