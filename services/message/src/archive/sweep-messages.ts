import { setTimeout as delay } from 'node:timers/promises'
import { holdLease } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { type Chat, sideNames } from '../inbox/chats-repository.ts'
import { refreshChats } from '../inbox/refresh-chats.ts'
import { isVisible } from '../messages/message-document.ts'
import { type KnownMessage, knownFields } from '../messages/messages-repository.ts'
import { forgetMessages } from './forget-messages.ts'

/** Messages of one transaction. */
const atOnce = 500
const chatsAtOnce = 100

type SweepDeps = Pick<
  Deps,
  'messages' | 'mailbox' | 'chats' | 'roomChats' | 'searchIndex' | 'outbox' | 'fileRemovals' | 'now'
>

/** Takes away the text of messages that have expired. Returns how many there were. */
export async function sweepExpired(deps: SweepDeps, signal?: AbortSignal): Promise<number> {
  for (let swept = 0; ; ) {
    const expired = await deps.outbox.commit(async (change) => {
      const found = await deps.messages.expired(deps.now(), atOnce, change.session)
      await forgetMessages(deps, found, change)
      return found
    })
    await refreshChats(deps, expired)
    swept += expired.length
    if (expired.length < atOnce || signal?.aborted) return swept
  }
}

/**
 * Takes away the text of messages that nobody sees any more because chats were cleared: both sides did, or one did and the
 * other had deleted them. Returns how many there were.
 */
export async function sweepCleared(deps: SweepDeps, signal?: AbortSignal): Promise<number> {
  for (let swept = 0; ; ) {
    const chats = await deps.chats.toSweep(deps.now(), chatsAtOnce)
    for (const chat of chats) {
      if (signal?.aborted) return swept
      swept += await sweepChat(deps, chat)
    }
    if (chats.length < chatsAtOnce) return swept
  }
}

/** Looks at what the two sides have cleared since the last sweep of the chat. */
async function sweepChat(deps: SweepDeps, chat: Chat): Promise<number> {
  let swept = 0
  const ranges = sideNames
    .map((name) => ({ from: chat[name].sweptBefore ?? 0, before: chat[name].clearedBefore ?? 0 }))
    .filter(({ from, before }) => from < before)
  for (const range of ranges) {
    let some: KnownMessage[] = []
    const found = deps.messages.newestFirst<KnownMessage>(
      { conversation: chat._id, ...range },
      { near: range.before, chunk: atOnce, projection: knownFields },
    )
    for await (const message of found)
      if (isLost(chat, message) && some.push(message) === atOnce) {
        swept += await forgetLost(deps, chat, some)
        some = []
      }
    swept += await forgetLost(deps, chat, some)
  }
  await deps.chats.markSwept(chat)
  return swept
}

/** Neither side sees it. Expired ones are swept by their expiry. */
const isLost = (chat: Chat, message: KnownMessage) =>
  !sideNames.some((name) => isVisible(message, { ...chat[name], now: 0 }))

async function forgetLost(deps: SweepDeps, chat: Chat, some: readonly KnownMessage[]): Promise<number> {
  if (!some.length) return 0
  return await deps.outbox.commit(async (change) => {
    const current = await deps.messages.visibilityOf(
      some.map(({ _id }) => _id),
      change.session,
    )
    const lost = current.filter((message) => !message.gone && isLost(chat, message))
    await forgetMessages(deps, lost, change)
    return lost.length
  })
}

const every = 60_000

/** One replica does both every minute. Nobody sees such messages from the first moment; this frees the disk of their text. */
export function sweepMessages(deps: Deps): { close(): Promise<void> } {
  return holdLease(deps, {
    name: 'sweep-messages',
    async work(signal) {
      while (!signal.aborted) {
        const expired = await sweepExpired(deps, signal)
        const cleared = await sweepCleared(deps, signal)
        if (expired + cleared) deps.log.info({ expired, cleared }, 'text that nobody sees any more was taken away')
        await delay(every, undefined, { signal }).catch(() => {})
      }
    },
  })
}
