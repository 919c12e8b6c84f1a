import type { Closable } from '@im/service-kit'
import type { Deps } from '../deps.ts'

/** How often (ms) it is looked whether a server that is held here has missed something. */
const lookEvery = 5000

/**
 * Streams that have missed something said in a room they have joined are closed: their clients connect again and get it with
 * the history. That happens when nobody could reach a server for ten seconds, and its streams outlived that.
 */
export async function closeMissed({
  missedRooms,
  feeds,
  occupants,
}: Pick<Deps, 'missedRooms' | 'feeds' | 'occupants'>): Promise<void> {
  const held = feeds.addresses
  const missed = await missedRooms.of(held)
  for (const { server, jid } of missed) {
    const feed = feeds.at(server)
    const streams = feed?.holds && occupants.at(jid, feed.holds.server)?.streams.keys()
    for (const stream of [...(streams ?? [])])
      await feed!.closeStreams({
        user: stream.report.user,
        ids: [stream.id],
        condition: 'reset',
        text: 'messages were missed',
      })
  }
  await missedRooms.remove(missed.filter(({ server }) => feeds.at(server)))
}

export function closeMissedStreams(deps: Deps): Closable {
  let working: Promise<void> | undefined
  const look = () => {
    working ??= closeMissed(deps)
      .catch((error) => deps.log.warn({ reason: String(error) }, 'streams that missed something could not be closed'))
      .finally(() => {
        working = undefined
      })
  }
  deps.feedWatchers.add({ ready: look })
  const looking = setInterval(look, lookEvery)
  return {
    close: async () => {
      clearInterval(looking)
      await working
    },
  }
}
