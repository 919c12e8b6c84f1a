import type { CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent, Db, Document, MongoClient } from 'mongodb'
import { currentRequestId, withRequestId } from '../current-call.ts'

/** How a call used the database of its service. */
export interface RoundTrips {
  /** Answers that were waited for one after another: commands that run beside each other are one. */
  inTurn: number
  /** Name and collection of each command, in the order in which they began. */
  commands: string[]
}

/**
 * Counts how often a service under test waits for its database while it answers `call`, or in what `call` does itself. What it does
 * beside calls, such as publishing events, does not count. One call at a time; commands are only told where NODE_ENV is `test`.
 */
export async function countRoundTrips(
  { db, mongoClient }: { db: Db; mongoClient: MongoClient },
  call: () => Promise<unknown>,
  options: {
    /**
     * Collections that do not count, such as those that are read again after a while only. What is written together with one of them
     * does not count either: nobody waits for it alone.
     */
    except?: ReadonlySet<string>
  } = {},
): Promise<RoundTrips> {
  // What runs beside something else would have to wait for a new connection, and look as if it came after it.
  await Promise.all(Array.from({ length: 10 }, () => db.command({ ping: 1 })))
  const ofService = `${db.databaseName}.`
  /** Those of the service. */
  function collectionsOf(databaseName: string, commandName: string, command: Document): string[] {
    const namespaces: string[] =
      commandName === 'bulkWrite' && databaseName === 'admin'
        ? command['nsInfo'].map(({ ns }: { ns: string }) => ns)
        : [`${databaseName}.${command[commandName]}`]
    return namespaces.flatMap((ns) => (ns.startsWith(ofService) ? [ns.slice(ofService.length)] : []))
  }
  const commands: string[] = []
  const turns = new Map<number, number>()
  let ended = 0
  const onStart = ({ requestId, databaseName, commandName, command }: CommandStartedEvent) => {
    if (currentRequestId() === undefined) return
    const isEnd = commandName === 'commitTransaction' || commandName === 'abortTransaction'
    const collections = isEnd ? [] : collectionsOf(databaseName, commandName, command)
    if (!isEnd && !collections.length) return
    if (collections.some((name) => options.except?.has(name))) return
    commands.push([commandName, ...collections].join(' '))
    turns.set(requestId, ended + 1)
  }
  const onEnd = ({ requestId }: CommandSucceededEvent | CommandFailedEvent) => {
    ended = Math.max(ended, turns.get(requestId) ?? 0)
  }
  mongoClient.on('commandStarted', onStart)
  mongoClient.on('commandSucceeded', onEnd)
  mongoClient.on('commandFailed', onEnd)
  try {
    await withRequestId('counted', call)
  } finally {
    mongoClient.off('commandStarted', onStart)
    mongoClient.off('commandSucceeded', onEnd)
    mongoClient.off('commandFailed', onEnd)
  }
  return { inTurn: Math.max(0, ...turns.values()), commands }
}
