import type { Handlers } from '@im/contracts'
import { internalUsers, ordinaryUsers, replayedUsers } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import { deleteUser } from '../accounts/delete-user.ts'
import { lockUser } from '../accounts/lock-user.ts'
import type { Deps } from '../deps.ts'
import { pageUsers } from '../users/page-users.ts'
import type { Contactable } from '../users/users-repository.ts'
import { configuredAdmin } from './configured-admin.ts'
import { makeAdmin } from './make-admin.ts'
import { makeSystemUsers } from './make-system-users.ts'

const unknownContact = { exists: 0, status: -1, userType: 0, allowGreet: 0, multipleDevices: 0, nickname: '' } as const

function contactOf(user: Contactable | undefined) {
  if (!user) return unknownContact
  const { status, userType, nickname, settings } = user
  const { allowGreet, multipleDevices } = settings
  return { exists: 1, status, userType, allowGreet, multipleDevices, nickname } as const
}

const handlers: Handlers<typeof internalUsers, Deps> = {
  async getContact({ users }, { params }) {
    return contactOf(await users.byId(params.userId))
  },

  async getContacts({ users }, { params }) {
    const found = await users.contactsOf(params.userIds)
    return { contacts: params.userIds.map((userId) => ({ userId, ...contactOf(found.get(userId)) })) }
  },

  async setLocked(deps, { params }) {
    await lockUser(deps, params.userId, params.locked === 1)
  },

  async deleteUser(deps, { params }) {
    await deleteUser(deps, params.userId)
  },

  async seed(deps, { params }) {
    const configured = configuredAdmin(deps.config)
    const { telephone = configured?.telephone, password: passwordMd5 = configured?.passwordMd5 } = params
    await makeSystemUsers(deps)
    const adminMade = telephone && passwordMd5 ? await makeAdmin(deps, { telephone, passwordMd5 }) : false
    return { adminMade: adminMade ? 1 : 0 }
  },
}

const replayHandlers: Handlers<typeof replayedUsers, Deps> = {
  pageUsers: (deps, { params }) => pageUsers(deps, params),
}

const ordinaryHandlers: Handlers<typeof ordinaryUsers, Deps> = {
  pageOrdinaryUsers: ({ users }, { params }) => users.ordinaryAfter(params.after, params.pageSize),
}

export const internalUserRoutes = [
  ...bindHandlers(ordinaryUsers, ordinaryHandlers),
  ...bindHandlers(internalUsers, handlers),
  ...bindHandlers(replayedUsers, replayHandlers),
]
