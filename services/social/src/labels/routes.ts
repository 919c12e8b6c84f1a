import { ContractError, type Handlers } from '@im/contracts'
import { labels } from '@im/contracts/social'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { keepOf } from '../people/erase-user.ts'
import type { Label } from './labels-repository.ts'

const show = ({ _id, userId, name, friends }: Label) => ({
  groupId: _id.toHexString(),
  groupName: name,
  userId,
  userIdList: friends,
})

const handlers: Handlers<typeof labels, Deps> = {
  listLabels: async ({ labels }, { caller }) => (await labels.of(caller.userId)).map(show),

  async addLabel(deps, { caller: { userId }, params: { groupName } }) {
    const { labels, outbox } = deps
    return show(await keepOf(deps, userId, () => outbox.commit((change) => labels.add(userId, groupName, change))))
  },

  async renameLabel({ labels, outbox }, { caller, params: { groupId, groupName } }) {
    await outbox.commit((change) => labels.rename(caller.userId, groupId, groupName, change))
  },

  async deleteLabel({ labels, outbox }, { caller, params }) {
    await outbox.commit((change) => labels.remove(caller.userId, params.groupId, change))
  },

  async setLabelFriends({ labels, relations, outbox }, { caller: { userId }, params }) {
    const { groupId, userIdListStr = [] } = params
    await outbox.commit(async (change) => {
      const pairs = await relations.pairs(userId, userIdListStr, change.session)
      const friends = userIdListStr.filter((friend) => pairs.get(friend)?.own?.status === 2)
      await labels.setFriends(userId, groupId, friends, change)
    })
  },

  async setFriendLabels({ labels, relations, outbox }, { caller: { userId }, params: { toUserId, groupIdStr = [] } }) {
    await outbox.commit(async (change) => {
      const pairs = await relations.pairs(userId, [toUserId], change.session)
      if (pairs.get(toUserId)?.own?.status !== 2) throw new ContractError('NotFriends')
      await labels.setLabelsOf(userId, toUserId, groupIdStr, change)
    })
  },
}

export const labelRoutes = bindHandlers(labels, handlers)
