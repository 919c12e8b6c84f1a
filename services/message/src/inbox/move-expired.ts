import { setTimeout as delay } from 'node:timers/promises'
import { holdLease } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { refreshChats } from './refresh-chats.ts'

const atOnce = 200

/** Moves all chats that show an expired message to what remains. Returns how many there were. */
export async function moveExpired(deps: Pick<Deps, 'messages' | 'inbox' | 'outbox' | 'now'>): Promise<number> {
  let moved = 0
  for (;;) {
    const expired = await deps.inbox.expired(deps.now(), atOnce)
    if (!expired.length) return moved
    await deps.outbox.commit((change) => refreshChats(deps, expired, change.session))
    moved += expired.length
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
