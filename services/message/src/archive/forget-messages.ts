import type { Change } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { KnownMessage } from '../messages/messages-repository.ts'

/** Takes messages away from everybody, in the transaction of a change: what they said leaves the archive, the search and whatever waits, and soon the files of their authors that they showed. */
export async function forgetMessages(
  {
    messages,
    mailbox,
    searchIndex,
    fileRemovals,
    now,
  }: Pick<Deps, 'messages' | 'mailbox' | 'searchIndex' | 'fileRemovals' | 'now'>,
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
  const shown = gone.flatMap(({ file = [], from }) => [file].flat().map((name) => ({ name, owner: from })))
  await fileRemovals.addFiles(shown, session)
}
