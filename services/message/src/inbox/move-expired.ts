import { setTimeout as delay } from 'node:timers/promises'
import { holdLease } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { moveLastChats } from './move-last-chats.ts'

const atOnce = 200

/** Moves rows whose message has expired to what remains, of one owner or of everybody. Returns how many there were. */
export async function moveExpired(
  deps: Pick<Deps, 'messages' | 'inbox' | 'outbox' | 'now'>,
  owner?: number,
): Promise<number> {
  let moved = 0
  for (;;) {
    const expired = await deps.inbox.expired(deps.now(), atOnce, owner)
    if (!expired.length) return moved
    await deps.outbox.commit((change) => moveLastChats(deps, expired, change.session))
    moved += expired.length
    if (expired.length < atOnce) return moved
  }
}

/** One replica does it every hour; whoever lists his chats before sees the right thing too. */
export function moveExpiredHourly(deps: Deps): { close(): Promise<void> } {
  return holdLease({
    redis: deps.redis,
    name: 'inbox-expiry',
    log: deps.log,
    async work(signal) {
      while (!signal.aborted) {
        const moved = await moveExpired(deps)
        if (moved) deps.log.info({ moved }, 'last chats moved past expired messages')
        await delay(3_600_000, undefined, { signal }).catch(() => {})
      }
    },
  })
}
