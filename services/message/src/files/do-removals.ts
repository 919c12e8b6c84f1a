import { setTimeout as delay } from 'node:timers/promises'
import { internalRooms } from '@im/contracts/room'
import { holdLease } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { forgetRoom } from '../rooms/forget-room.ts'
import { roomAvatarKey, userAvatarKey } from './file-keys.ts'
import type { Removal } from './removals-repository.ts'
import { removeFiles } from './remove-files.ts'

/** Files of one step. */
const atOnce = 200
const removalsEvery = 500
const expiryEvery = 3_600_000

export type RemovalDeps = Pick<Deps, 'fileStore' | 'files' | 'fileRemovals' | 'messages' | 'room' | 'now' | 'log'> &
  Parameters<typeof forgetRoom>[0]

/** Does what is to be removed. Returns how many removals there were. */
export async function doRemovals(deps: RemovalDeps, signal?: AbortSignal): Promise<number> {
  for (let done = 0; ; ) {
    const removals = await deps.fileRemovals.next(atOnce, deps.now())
    for (const removal of removals) {
      if ('user' in removal) await removeAllOf(deps, removal.user)
      if ('jid' in removal) await removeRoom(deps, removal.jid, signal)
      // What is left is done by whoever goes on.
      if (signal?.aborted) return done
    }
    // Last: it needs the room service, which may be away.
    await removeShown(
      deps,
      removals.filter((removal) => 'name' in removal),
    )
    await deps.fileRemovals.done(removals, deps.now())
    done += removals.length
    if (removals.length < atOnce || signal?.aborted) return done
  }
}

/**
 * Files that messages or rooms showed. Once their owner has taken one back it goes with the last message or room that shows it, whosever
 * that is, unless somebody collected it. What others do with a file takes nothing from its owner before.
 */
async function removeShown(deps: RemovalDeps, removals: readonly Extract<Removal, { name: string }>[]): Promise<void> {
  const { files, messages, room } = deps
  const taken = new Set(removals.map(({ name, owner }) => `${name}:${owner}`))
  const found = await files.byNames([...new Set(removals.map(({ name }) => name))])
  const candidates = found.filter(
    ({ _id, owner, kept, isTakenBack }) => !kept && (isTakenBack || taken.has(`${_id}:${owner}`)),
  )
  const wanted = candidates.map(({ _id }) => _id)
  const shown = await messages.shownFiles(wanted)
  const hidden = wanted.filter((name) => !shown.has(name))
  const shared = hidden.length ? (await room.call(internalRooms.findSharedFiles, { names: hidden })).names : []
  const staying = new Set([...shown, ...shared])
  await files.takeBack([...staying])
  await removeFiles(deps, await files.letGo(wanted.filter((name) => !staying.has(name))))
}

async function removeAllOf(deps: RemovalDeps, user: number): Promise<void> {
  for (;;) {
    const some = await deps.files.letOwnGo(user, atOnce)
    await removeFiles(deps, some)
    if (some.length < atOnce) break
  }
  await deps.fileStore.remove([userAvatarKey('o', user), userAvatarKey('t', user)])
}

/** The files that its messages showed are removals of their own then. */
async function removeRoom(deps: RemovalDeps, jid: string, signal: AbortSignal | undefined): Promise<void> {
  await forgetRoom(deps, jid, signal)
  await deps.fileStore.remove([roomAvatarKey('o', jid), roomAvatarKey('t', jid)])
}

/** Removes files whose time is over. Returns how many there were. */
export async function removeExpired(deps: RemovalDeps, signal?: AbortSignal): Promise<number> {
  for (let removed = 0; ; ) {
    const expired = await deps.files.expired(deps.now(), atOnce)
    // Somebody may have collected one of them meanwhile.
    await removeFiles(deps, await deps.files.letGo(expired.map(({ _id }) => _id)))
    removed += expired.length
    if (expired.length < atOnce || signal?.aborted) return removed
  }
}

/** One replica does it: removals at once, expired files every hour. */
export function sweepFiles(deps: Deps): { close(): Promise<void> } {
  return holdLease(deps, {
    name: 'sweep-files',
    async work(signal) {
      let expiryAt = 0
      while (!signal.aborted) {
        await doRemovals(deps, signal)
        if (Date.now() >= expiryAt) {
          const removed = await removeExpired(deps, signal)
          if (removed) deps.log.info({ removed }, 'files whose time was over were removed')
          expiryAt = Date.now() + expiryEvery
        }
        await delay(removalsEvery, undefined, { signal }).catch(() => {})
      }
    },
  })
}
