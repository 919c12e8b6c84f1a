import { type ClientSession, ObjectId } from 'mongodb'
import { usersOf } from '../archive/conversations.ts'
import type { MessagesRepository } from '../archive/messages-repository.ts'
import { type RemovedRow, rowsByConversation, type Waiting } from './backlog-repository.ts'
import type { Block } from './blocks-repository.ts'
import { summaryOf, without } from './packed-rows.ts'
import { removeRows } from './remove-rows.ts'
import { sealBlocks } from './seal-blocks.ts'
import type { SearchIndex } from './search-index.ts'

export type IndexerDeps = { messages: MessagesRepository; searchIndex: SearchIndex }

/** A note waits until nothing from before it can come after it, clocks of other replicas included. */
const noteWait = 60_000

/**
 * Moves what waits longest from the backlog to the blocks of its conversations, in one transaction, and seals conversations
 * that have enough. Returns how many documents were taken; another indexer at the same time does no harm.
 */
export async function indexWaiting(deps: IndexerDeps): Promise<{ taken: number; drained: boolean }> {
  const { searchIndex } = deps
  const { taken, drained, filled } = await searchIndex.transaction((session) => moveToBlocks(deps, session))
  for (const conversation of filled) await sealBlocks(searchIndex, conversation)
  return { taken, drained }
}

async function moveToBlocks(deps: IndexerDeps, session: ClientSession) {
  const { backlog, blocks, limits } = deps.searchIndex
  const { batches, notes, drained } = await take(deps.searchIndex, session)
  const removed = await goneOf(deps, notes, session)
  if (removed.length) await removeRows(deps.searchIndex, removed, session)
  const gone = new Set(removed.map(({ id }) => id.toHexString()))

  const rows = new Map<string, Buffer[]>()
  for (const batch of batches)
    for (const group of rowsByConversation(batch)) {
      const kept = gone.size ? (without(group.rows, ({ hexId }) => gone.has(hexId)) ?? group.rows) : group.rows
      if (kept.length) rows.set(group.conversation, [...(rows.get(group.conversation) ?? []), kept])
    }
  const open = rows.size ? await blocks.openOf([...rows.keys()], session) : new Map<string, Block>()
  const written = [...rows].map(([conversation, added]): Block => {
    const old = open.get(conversation)
    const bytes = Buffer.concat(old ? [old.rows, ...added] : added)
    const summary = summaryOf(bytes, old)
    const isFull = summary.count >= limits.blockMessages || bytes.length >= limits.blockBytes
    const users = usersOf(conversation)
    return {
      _id: old?._id ?? new ObjectId(),
      conversation,
      ...(users ? { users } : {}),
      ...(isFull ? {} : { openFor: conversation }),
      rows: bytes,
      ...summary,
    }
  })
  const [changed, fresh] = [
    written.filter(({ conversation }) => open.has(conversation)),
    written.filter(({ conversation }) => !open.has(conversation)),
  ]
  await blocks.write({ fresh, changed }, session)
  const done = [...batches, ...notes].map(({ _id }) => _id)
  await backlog.remove(done, session)
  const filled = written.filter(({ openFor }) => openFor === undefined).map(({ conversation }) => conversation)
  return { taken: done.length, drained, filled }
}

/** The oldest batches, and the notes whose messages are surely not behind them. */
async function take({ backlog, limits }: SearchIndex, session: ClientSession) {
  const batches: Waiting[] = []
  let notes: Waiting[] = []
  let [messages, bytes, drained] = [0, 0, true]
  for await (const waiting of backlog.find(session)) {
    if (messages >= limits.stepMessages || bytes >= limits.stepBytes) {
      drained = false
      const safe = waiting._id.getTimestamp().getTime() - noteWait
      notes = notes.filter(({ _id }) => _id.getTimestamp().getTime() < safe)
      break
    }
    if (waiting.removed) notes.push(waiting)
    else batches.push(waiting)
    messages += waiting.count + (waiting.removed?.length ?? 0)
    bytes += waiting.rows.length
  }
  return { batches, notes, drained }
}

/** Those of the noted messages that nobody can see any more. */
async function goneOf(
  { messages }: IndexerDeps,
  notes: readonly Waiting[],
  session: ClientSession,
): Promise<RemovedRow[]> {
  const removed = notes.flatMap((note) => note.removed ?? [])
  if (!removed.length) return []
  const alive = await messages.searchableAmong(
    removed.map(({ id }) => id),
    session,
  )
  return removed.filter(({ id }) => !alive.has(id.toHexString()))
}
