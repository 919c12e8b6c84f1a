import type { Handlers } from '@im/contracts'
import { friendRules, noticeUserId } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { telephoneKey } from '../users/telephones.ts'

const handlers: Handlers<typeof friendRules, Deps> = {
  async getFriendRules({ users }, { params }) {
    const found = await users.friendRulesOf(params.userIds.filter((userId) => userId !== noticeUserId))
    return {
      users: found.map(({ _id: userId, nickname, userType, telephone, settings }) => {
        const { allowAtt, friendsVerify, friendFromList, chatRecordTimeOut } = settings
        return { userId, nickname, userType, telephone, allowAtt, friendsVerify, friendFromList, chatRecordTimeOut }
      }),
    }
  },

  async findByTelephones({ users }, { params }) {
    const found = await users.byTelephoneKeys(params.telephones)
    return {
      users: found.flatMap(({ _id: userId, telephone, settings, createTime }) => {
        const mayBeFound = settings.phoneSearch && !settings.closeTelephoneFind
        return telephone && mayBeFound ? [{ telephone: telephoneKey(telephone), userId, registeredAt: createTime }] : []
      }),
    }
  },
}

export const friendRuleRoutes = bindHandlers(friendRules, handlers)
