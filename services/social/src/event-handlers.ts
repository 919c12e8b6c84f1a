import { friendsTold, messageArchived } from '@im/contracts/message'
import { friendChanged } from '@im/contracts/social'
import { settingsChanged, telephoneChanged, userDeleted, userRegistered, userUpdated } from '@im/contracts/user'
import { type EventHandler, exactlyOnce, on, onMany } from '@im/service-kit'
import { messagesToAccounts } from './account-pages/messages-to-accounts.ts'
import { answerWords, welcome } from './account-replies/answer-events.ts'
import { findAgain } from './address-book/find-again.ts'
import { tellOwners } from './address-book/tell-owners.ts'
import type { Deps } from './deps.ts'
import { projection, welcomeUser } from './newcomers/welcome-users.ts'
import { eraseThoseGone, eraseUser } from './people/erase-user.ts'

/** Settings that say whether a user is found by their number. */
const findingSettings: ReadonlySet<string> = new Set(['phoneSearch', 'closeTelephoneFind'])

/** What this service does with the events of others. */
export function eventHandlers(deps: Deps): EventHandler[] {
  const { people, newFriends, erasedUsers, outbox } = deps
  return [
    on(userRegistered, async (registered) => {
      await outbox.commit((change) => welcomeUser(deps, registered, change))
      await eraseThoseGone(deps, [registered.userId, ...registered.defaultFriends])
      await tellOwners(deps, registered)
    }),
    on(telephoneChanged, ({ userId }) => findAgain(deps, userId)),
    // Who changes it again and again is looked for once: a number may stand in many address books.
    onMany(settingsChanged, async (events) => {
      const users = events.flatMap(({ data }) =>
        data.changed.some((name) => findingSettings.has(name)) ? data.userId : [],
      )
      for (const userId of new Set(users)) await findAgain(deps, userId)
    }),
    exactlyOnce(userUpdated, ({ userId, nickname }, change) => people.rename(userId, nickname, change), { projection }),
    exactlyOnce(friendsTold, async ({ messages }, change) => {
      const known = await people.find(messages.flatMap(({ from, to }) => [from, to]))
      const isGone = (userId: number) => known.get(userId)?.gone === true
      await newFriends.tellLater(
        messages
          .filter(({ from, to }) => !isGone(from) && !isGone(to))
          .map(({ from, to, contentType: type, content, arrivedAt: at }) => ({ from, to, type, content, at })),
        change,
      )
    }),
    on(messageArchived, async ({ messages }) => {
      const toAccounts = await messagesToAccounts(deps, messages)
      await deps.accountChats.note(toAccounts)
      await eraseThoseGone(deps, [...new Set(toAccounts.flatMap(({ from, to }) => [from, to]))])
      await answerWords(deps, toAccounts)
    }),
    on(friendChanged, (changed, { id }) => welcome(deps, changed, id)),
    on(userDeleted, async (deleted) => {
      await erasedUsers.note(deleted.userId)
      await eraseUser(deps, deleted)
    }),
  ]
}
