import { createServiceClient, ErasedUsers, type Runtime, type ServiceClient, Turns } from '@im/service-kit'
import { AccountChatsRepository } from './account-pages/account-chats-repository.ts'
import { OpenSendsRepository } from './account-pages/open-sends-repository.ts'
import { RepliesRepository } from './account-replies/replies-repository.ts'
import { BooksRepository } from './address-book/books-repository.ts'
import type { SocialConfig } from './config.ts'
import { EverybodysFriends } from './friends/everybodys-friends.ts'
import { WrittenLists } from './friends/written-lists.ts'
import { LabelsRepository } from './labels/labels-repository.ts'
import { NewFriendsRepository } from './new-friends/new-friends-repository.ts'
import { Names } from './people/names.ts'
import { PeopleRepository } from './people/people-repository.ts'
import { KnownAccounts } from './public-accounts/known-accounts.ts'
import { MenusRepository } from './public-accounts/menus-repository.ts'
import { KeptRows } from './relations/kept-rows.ts'
import { RelationsRepository } from './relations/relations-repository.ts'
import { Talks } from './talks/talks.ts'

/** What operations of this service may use. */
export interface Deps extends Runtime<SocialConfig> {
  user: ServiceClient
  message: ServiceClient
  push: ServiceClient
  people: PeopleRepository
  names: Names
  relations: RelationsRepository
  keptRows: KeptRows
  writtenLists: WrittenLists
  labels: LabelsRepository
  newFriends: NewFriendsRepository
  books: BooksRepository
  /** By user. */
  uploadTurns: Turns<number>
  menus: MenusRepository
  knownAccounts: KnownAccounts
  accountChats: AccountChatsRepository
  accountReplies: RepliesRepository
  openSends: OpenSendsRepository
  everybodysFriends: EverybodysFriends
  erasedUsers: ErasedUsers
  talks: Talks
}

/** How long (ms) another service may take. */
const userTimeout = 3000
const messageTimeout = 4000
const pushTimeout = 3000

/** Puts the service together. */
export function createDeps(runtime: Runtime<SocialConfig>): Omit<Deps, keyof Runtime> {
  const { config, db, now, log } = runtime
  const { serviceKeys } = config
  const user = createServiceClient({ baseUrl: config.userUrl, serviceKeys, timeoutMs: userTimeout })
  const message = createServiceClient({ baseUrl: config.messageUrl, serviceKeys, timeoutMs: messageTimeout })
  const push = createServiceClient({ baseUrl: config.pushUrl, serviceKeys, timeoutMs: pushTimeout })
  const people = new PeopleRepository(db)
  const relations = new RelationsRepository(db)
  return {
    user,
    message,
    push,
    people,
    names: new Names({ people, user, log }),
    relations,
    keptRows: new KeptRows(relations),
    writtenLists: new WrittenLists(),
    labels: new LabelsRepository(db, now),
    newFriends: new NewFriendsRepository(db),
    books: new BooksRepository(db),
    uploadTurns: new Turns(),
    menus: new MenusRepository(db),
    knownAccounts: new KnownAccounts(people),
    accountChats: new AccountChatsRepository(db),
    accountReplies: new RepliesRepository(db),
    openSends: new OpenSendsRepository(db, now),
    everybodysFriends: new EverybodysFriends(db),
    erasedUsers: new ErasedUsers(db, now),
    talks: new Talks(message, log),
  }
}
