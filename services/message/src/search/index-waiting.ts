import type { ClientSession } from 'mongodb'
import type { WaitingBatch } from './backlog-repository.ts'
import { ownersOf, pathOf } from './owners.ts'
import { without } from './packed-rows.ts'
import { removalId } from './removals-repository.ts'
import { groupsOf, RowGroups } from './row-groups.ts'
import type { SearchIndex } from './search-index.ts'
import { nodesOf, settleNodes } from './settle-nodes.ts'

export interface Indexed {
  /** Documents of the backlog that were taken in. */
  taken: number
  /** Nothing more waits. */
  drained: boolean
}

/** Documents of the backlog that are read at once: a step may want few of them, and each may have half a MiB. */
const readAtOnce = 10

/** Removals of messages that still wait; more than these are taken out of the tree later. */
const mostRemovals = 20_000

/**
 * Moves what waits longest from the backlog into the tree of its owners, in one transaction. Another indexer at the same time does
 * no harm. `most`: documents of the backlog at most.
 */
export async function indexWaiting(index: SearchIndex, most = Number.POSITIVE_INFINITY): Promise<Indexed> {
  const { taken, drained, touched } = await index.transaction((session) => moveToTree(index, most, session))
  await settleNodes(index, touched)
  return { taken, drained }
}

async function moveToTree(index: SearchIndex, most: number, session: ClientSession) {
  const { backlog, nodes } = index
  const { batches, drained } = await take(index, most, session)
  const [oldest] = batches
  const removed = oldest ? await index.removals.from(oldest._id, mostRemovals, session) : new Set<string>()
  const tops = new Map<string, RowGroups>()
  for (const batch of batches)
    for (const { name: conversation, rows } of groupsOf(batch.rows))
      for (const owner of ownersOf(conversation)) {
        const left = removed.size ? without(rows, ({ hexId }) => removed.has(removalId(hexId, owner))) : undefined
        const [top] = pathOf(owner) as [string]
        if (!tops.has(top)) tops.set(top, new RowGroups())
        tops.get(top)!.add(owner, left ?? rows)
      }
  await nodes.add(
    nodesOf(tops).filter(({ count }) => count > 0),
    session,
  )
  await backlog.remove(
    batches.map(({ _id }) => _id),
    session,
  )
  return { taken: batches.length, drained, touched: [...tops.keys()] }
}

/** The oldest batches, as many as one transaction takes. */
async function take({ backlog, limits }: SearchIndex, most: number, session: ClientSession) {
  const batches: WaitingBatch[] = []
  let [messages, bytes] = [0, 0]
  for await (const waiting of backlog.find(session, readAtOnce)) {
    if (waiting.failed) continue
    const isFull = messages + waiting.count > limits.stepMessages || bytes + waiting.rows.length > limits.stepBytes
    if (batches.length >= most || (batches.length && isFull)) return { batches, drained: false }
    batches.push(waiting)
    messages += waiting.count
    bytes += waiting.rows.length
  }
  return { batches, drained: true }
}
