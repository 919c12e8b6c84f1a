import type { Payload } from '@im/contracts'
import { type messageArchived, messageType } from '@im/contracts/message'
import type { Deps } from '../deps.ts'

type ArchivedMessage = Payload<typeof messageArchived>['messages'][number]
export type MessageToAccount = ArchivedMessage & { to: number }

/** Of archived messages those that users wrote to public accounts and that a list of chats shows. */
export async function messagesToAccounts(
  { knownAccounts }: Pick<Deps, 'knownAccounts'>,
  messages: readonly ArchivedMessage[],
): Promise<MessageToAccount[]> {
  const accounts = await knownAccounts.among(new Set(messages.flatMap(({ to }) => to ?? [])))
  if (!accounts.size) return []
  return messages.flatMap((message) => {
    const { to, from, contentType } = message
    const isShown = to !== undefined && accounts.has(to) && from !== to && messageType(contentType).listed
    return isShown ? { ...message, to } : []
  })
}
