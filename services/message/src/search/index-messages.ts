import { setTimeout as delay } from 'node:timers/promises'
import { Gauge, holdLease } from '@im/service-kit'
import type { ObjectId } from 'mongodb'
import type { MessageDocument, Messages } from '../archive/messages-repository.ts'
import type { Deps } from '../deps.ts'
import type { Backlog } from './backlog-repository.ts'
import type { Posting } from './postings-repository.ts'
import type { SearchIndex } from './search-index.ts'
import { searchedTexts } from './search-messages.ts'
import { tokensOf } from './tokens.ts'

type IndexerDeps = { messages: Messages; searchIndex: SearchIndex }

/** Batches of the backlog that are indexed together. */
const batchesAtOnce = 2
const idle = 250
const sweepEvery = 3_600_000
const sweptAtOnce = 1000

function postingOf(message: MessageDocument): { posting: Posting; isLong: boolean } {
  const { _id, conversation, from, contentType, timeSend, ts, expireAt } = message
  const texts = searchedTexts(message)
  const { tokens, isLong } = tokensOf({ conversation, texts, from, contentType })
  return {
    isLong,
    posting: {
      _id,
      conversation,
      tokens,
      ...(isLong ? {} : { texts }),
      from,
      contentType,
      timeSend,
      ts,
      ...(expireAt ? { expireAt } : {}),
    },
  }
}

/**
 * Indexes the oldest batches that wait; returns how many. The order matters: conversations before postings before the end of
 * the wait, so that a search at any moment finds a message in the backlog or in the index. Doing it twice changes nothing.
 */
export async function indexWaiting({ messages, searchIndex }: IndexerDeps): Promise<number> {
  const { backlog, chats, postings } = searchIndex
  const waiting: Backlog[] = await backlog.oldest(batchesAtOnce)
  if (!waiting.length) return 0
  const ids = waiting.flatMap(({ rows }) => rows.map(({ id }) => id))
  const stored = await messages.collection
    .find({ _id: { $in: ids }, searchable: true })
    .project<MessageDocument>({ body: 0, stanza: 0 })
    .toArray()
  const made = stored.map(postingOf)
  const noted = new Map<string, boolean>()
  for (const { posting, isLong } of made)
    noted.set(posting.conversation, isLong || (noted.get(posting.conversation) ?? false))
  await chats.note([...noted].map(([conversation, hasLong]) => ({ conversation, hasLong })))
  await postings.add(made.map(({ posting }) => posting))
  await backlog.remove(waiting.map(({ _id }) => _id))
  return waiting.length
}

/** Removes what the index holds of messages that are recalled or gone. Searches never show them; this frees their room. */
export async function sweepPostings({ messages, searchIndex }: IndexerDeps, signal?: AbortSignal): Promise<number> {
  let removed = 0
  let after: ObjectId | undefined
  while (!signal?.aborted) {
    const ids = await searchIndex.postings.idsAfter(after, sweptAtOnce)
    if (!ids.length) break
    const alive = await messages.collection
      .find({ _id: { $in: ids }, searchable: true })
      .project<{ _id: ObjectId }>({ _id: 1 })
      .toArray()
    const living = new Set(alive.map(({ _id }) => _id.toHexString()))
    const dead = ids.filter((id) => !living.has(id.toHexString()))
    await searchIndex.postings.remove(dead)
    removed += dead.length
    after = ids.at(-1)
  }
  return removed
}

/** Follows the archive in one replica at a time. Receipts never wait for it, and neither do complete results. */
export function startSearchIndexer(deps: Deps): { close(): Promise<void> } {
  new Gauge({
    name: 'im_search_lag_seconds',
    help: 'Age of the oldest message that is not in the search index yet',
    registers: [deps.metrics],
    async collect() {
      const since = await deps.searchIndex.backlog.waitingSince().catch(() => undefined)
      this.set(since === undefined ? 0 : Math.max(0, (deps.now() - since) / 1000))
    },
  })
  return holdLease({
    redis: deps.redis,
    name: 'search-index',
    log: deps.log,
    async work(signal) {
      let sweptAt = deps.now()
      while (!signal.aborted) {
        const startedAt = performance.now()
        if (await indexWaiting(deps)) {
          // Half the time at most: under load the archive comes first, and the backlog waits.
          await delay(performance.now() - startedAt, undefined, { signal }).catch(() => {})
          continue
        }
        if (deps.now() - sweptAt > sweepEvery) {
          sweptAt = deps.now()
          const removed = await sweepPostings(deps, signal)
          if (removed) deps.log.info({ removed }, 'postings of removed messages swept')
        }
        await delay(idle, undefined, { signal }).catch(() => {})
      }
    },
  })
}
