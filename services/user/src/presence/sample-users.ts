import { setTimeout as delay } from 'node:timers/promises'
import { type Closable, holdLease } from '@im/service-kit'
import type { Deps } from '../deps.ts'

/** How often (ms) users who are online are counted. */
const sampleEvery = 300_000

type Sampling = Pick<Deps, 'users' | 'userCounts' | 'now'>

/** Counts users once. */
export async function sampleUsers({ users, userCounts, now }: Sampling): Promise<void> {
  const { online, registered } = await users.counts()
  const time = Math.floor(now() / 1000)
  const counts = { online, offline: Math.max(0, registered - online) }
  await userCounts.add(counts, time, startOfDay(time))
}

/** Counts users every five minutes, in one replica at a time. */
export function startSampling(deps: Deps): Closable {
  return holdLease(deps, {
    name: 'sample-users',
    async work(signal) {
      while (!signal.aborted) {
        await sampleUsers(deps)
        const untilNext = sampleEvery - (deps.now() % sampleEvery)
        await delay(untilNext, undefined, { signal }).catch(() => {})
      }
    },
  })
}

/** Days are those of the server's time zone (deviation O-18). */
export function startOfDay(seconds: number): number {
  const day = new Date(seconds * 1000)
  day.setHours(0, 0, 0, 0)
  return Math.floor(day.getTime() / 1000)
}
