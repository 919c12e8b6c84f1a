import { setTimeout as delay } from 'node:timers/promises'
import type { Deps } from '../deps.ts'
import { applyPresence, type PresenceUpdate } from './apply-presence.ts'

const usersAtOnce = 500

interface MutableUpdate extends PresenceUpdate {
  only?: string[]
  changes: Map<string, boolean>
}

/**
 * Follows what the XMPP server tells over one connection: first a snapshot of all available resources, then each change.
 * Reports wait in one slot per user, so that a storm of logins or an absent MongoDB costs memory per user, not per report.
 */
export function createPresenceFollower(deps: Deps) {
  const { log, presences } = deps
  const closing = new AbortController()
  let pending = new Map<number, MutableUpdate>()
  let collecting = new Map<number, string[]>()
  let snapshotUsers: ReadonlySet<number> | undefined
  let working: Promise<void> | undefined

  const slot = (user: number) => {
    let update = pending.get(user)
    if (!update) {
      update = { changes: new Map() }
      pending.set(user, update)
    }
    return update
  }

  function report(user: number, resource: string, online: boolean): void {
    if (!Number.isInteger(user)) return
    slot(user).changes.set(resource, online)
    wake()
  }

  function snapshot(resources: readonly { user: number; resource: string }[], complete: boolean): void {
    for (const { user, resource } of resources) {
      if (!Number.isInteger(user)) continue
      const list = collecting.get(user)
      if (list) list.push(resource)
      else collecting.set(user, [resource])
    }
    if (!complete) return
    const reported = pending
    pending = new Map()
    for (const [user, only] of collecting) slot(user).only = only
    // Reports that came between the parts of the snapshot are newer than its beginning.
    for (const [user, { changes }] of reported)
      for (const [resource, online] of changes) slot(user).changes.set(resource, online)
    snapshotUsers = new Set(collecting.keys())
    collecting = new Map()
    wake()
  }

  function wake(): void {
    if (!closing.signal.aborted) working ??= new Promise<void>((resolve) => setImmediate(resolve)).then(drain)
  }

  async function drain(): Promise<void> {
    let attempt = 0
    while ((pending.size || snapshotUsers) && !closing.signal.aborted) {
      const taken = pending
      try {
        if (snapshotUsers) await addMissing(snapshotUsers)
        pending = new Map()
        await apply(taken)
        attempt = 0
      } catch (error) {
        restore(taken)
        log.warn({ err: error, attempt }, 'presence could not be stored; trying again')
        await delay(Math.min(100 * 2 ** attempt++, 5000), undefined, { signal: closing.signal }).catch(() => {})
      }
    }
    working = undefined
  }

  /** Whoever was online and is not in the snapshot went while nobody told us. */
  async function addMissing(present: ReadonlySet<number>): Promise<void> {
    for (const user of await presences.onlineUsers()) if (!present.has(user)) slot(user).only ??= []
    snapshotUsers = undefined
  }

  async function apply(updates: Map<number, MutableUpdate>): Promise<void> {
    const users = [...updates.keys()]
    for (let start = 0; start < users.length; start += usersAtOnce) {
      const some = users.slice(start, start + usersAtOnce)
      await applyPresence(deps, new Map(some.map((user) => [user, updates.get(user)!])))
      for (const user of some) updates.delete(user)
    }
  }

  /** Puts back what was not stored, below what was reported meanwhile. */
  function restore(taken: Map<number, MutableUpdate>): void {
    if (pending === taken) return
    for (const [user, update] of taken) {
      const newer = pending.get(user)
      if (!newer) pending.set(user, update)
      else if (!newer.only) {
        newer.only = update.only
        newer.changes = new Map([...update.changes, ...newer.changes])
      }
    }
  }

  return {
    report,
    snapshot,
    async close(): Promise<void> {
      closing.abort()
      await working
    },
  }
}
