import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { KnownMessage } from './messages-repository.ts'

/** Takes messages away from everybody, in the transaction of a change: what they said leaves the archive, the search and whatever waits. */
export async function forgetMessages(
  { messages, mailbox, searchIndex, now }: Pick<Deps, 'messages' | 'mailbox' | 'searchIndex' | 'now'>,
  gone: readonly KnownMessage[],
  { session }: Pick<Change, 'session'>,
): Promise<void> {
  await messages.empty(
    gone.map(({ _id }) => _id),
    now(),
    session,
  )
  await mailbox.forget(gone, session)
  await searchIndex.removals.addForAll(gone, session)
}
