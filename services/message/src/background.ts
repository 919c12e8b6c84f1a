import type { Closable } from '@im/service-kit'
import { sweepMessages } from './archive/sweep-messages.ts'
import { followFacts } from './decide/follow-facts.ts'
import type { Deps } from './deps.ts'
import { shareServers } from './feed/share-servers.ts'
import { sweepFiles } from './files/do-removals.ts'
import { followPresence } from './presence/follow-presence.ts'
import { closeMissedStreams } from './rooms/close-missed.ts'
import { expireReservedRooms } from './rooms/expire-reserved.ts'
import { startSearchIndexer } from './search/start-indexer.ts'

/** Work beside requests and events. Its end, last first: no new entries, then what is under way. */
export function background(deps: Deps): Closable[] {
  deps.mailboxDrain.start()
  return [
    deps.user,
    deps.social,
    deps.room,
    deps.org,
    deps.serverConfig,
    deps.xmppServers,
    ...(deps.config.messageRole === 'feed'
      ? []
      : [
          deps.fileStore,
          deps.images,
          startSearchIndexer(deps),
          sweepMessages(deps),
          expireReservedRooms(deps),
          deps.staging.start(),
          sweepFiles(deps),
        ]),
    deps.mailboxWriter,
    { close: async () => deps.deliverer.close() },
    deps.mailboxDrain,
    deps.lateStreams,
    deps.farDeliveries.start({
      deliverHere: (message, answer) => deps.deliverer.deliverHere(message, answer),
      mailboxGrew: (user, place) => deps.mailboxDrain.wakeUser(user, place),
    }),
    deps.chatFirst.start(),
    deps.roomEnforcer.start(),
    deps.occupantRolls.start(),
    deps.roomFanOut.start(),
    closeMissedStreams(deps),
    deps.toldStreams.start(),
    deps.streamCloser.start(),
    followFacts(deps),
    followPresence(deps),
    shareServers(deps),
  ]
}
