import { setTimeout as delay } from 'node:timers/promises'
import { holdLease } from '@im/service-kit'
import type { Deps } from '../deps.ts'

const atOnce = 500
const every = 10_000

type ExpireDeps = Pick<Deps, 'reservedRooms' | 'roomFanOut'>

/** Destroys rooms that were made by joining and not registered in time. What is registered is none of them any more. */
export async function expireReserved({ reservedRooms, roomFanOut }: ExpireDeps): Promise<void> {
  for (;;) {
    const expired = await reservedRooms.expired(atOnce)
    for (const room of expired) {
      // The rooms that live are left alone by whoever carries it out.
      await roomFanOut.sent({ kind: 'destroy', jid: room._id })
      await reservedRooms.remove(room)
    }
    if (expired.length < atOnce) return
  }
}

/** One replica does it. */
export function expireReservedRooms(deps: Deps): { close(): Promise<void> } {
  return holdLease(deps, {
    name: 'expire-reserved-rooms',
    async work(signal) {
      while (!signal.aborted) {
        await expireReserved(deps)
        await delay(every, undefined, { signal }).catch(() => {})
      }
    },
  })
}
