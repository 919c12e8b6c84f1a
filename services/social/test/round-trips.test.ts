import type { Endpoint } from '@im/contracts'
import { addressBook, blacklists, follows, friends, labels, publicAccounts } from '@im/contracts/social'
import { countRoundTrips, type WireParams } from '@im/service-kit/testing'
import { test } from 'tap'
import { startSocial } from './start-social.ts'

/**
 * What every change that is announced takes besides (docs/decisions/016), and what tells the other replicas of a session of the database
 * that is used for the first time.
 */
const notCounted = new Set(['sequences', 'outbox', 'replicas'])
const most = 3
const exceptions = new Map<Endpoint, number>([
  // Three waits, the first for three reads beside each other, which a busy machine may draw apart.
  [follows.followMany, 4],
])

test('no call waits for the database more than three times, but for what its transaction takes', async (t) => {
  const { api, deps, person } = await startSocial(t)
  const [alice, bob, carol] = [await person('alice'), await person('bob'), await person('carol', { friendsVerify: 0 })]
  const news = await person('news', { userType: 2 })
  const counted = new Set<Endpoint>()
  async function count<E extends Endpoint>(endpoint: E, params: WireParams<E>, as = alice) {
    const trips = await countRoundTrips(deps, () => api.call(endpoint, params, { as }), { except: notCounted })
    const own = trips.inTurn - trips.commands.filter((name) => name === 'commitTransaction').length
    const bound = exceptions.get(endpoint) ?? most
    counted.add(endpoint)
    t.ok(own <= bound, `${endpoint.path}: ${own} of ${bound}: ${trips.commands.join(', ')}`)
  }
  await count(follows.follow, { toUserId: bob })
  await count(friends.addFriend, { toUserId: alice }, bob)
  await count(follows.followMany, { toUserIds: `${carol},${news}` })
  await count(friends.getFriend, { toUserId: bob })
  await count(friends.listFriends, {})
  await count(friends.pageFriends, {})
  await count(friends.listFriendIds, { type: 'friendList' })
  await count(friends.updateFriend, { toUserId: bob, chatRecordTimeOut: 3 })
  await count(friends.remarkFriend, { toUserId: bob, remarkName: 'B' })
  await count(friends.switchForFriend, { toUserId: bob, offlineNoPushMsg: 1 })
  await count(friends.listNewFriends, {})
  await count(follows.listFans, {})
  await count(follows.listFollowed, {})
  const { groupId } = await api.call(labels.addLabel, { groupName: 'z' }, { as: alice })
  await count(labels.addLabel, { groupName: 'x' })
  await count(labels.renameLabel, { groupId, groupName: 'y' })
  await count(labels.setLabelFriends, { groupId, userIdListStr: String(bob) })
  await count(labels.setFriendLabels, { toUserId: bob })
  await count(labels.listLabels, {})
  await count(labels.deleteLabel, { groupId })
  await count(addressBook.uploadContacts, { uploadStr: '13800000002,13800000009', deleteStr: '13700000000' })
  await count(addressBook.listContacts, {})
  await count(addressBook.pageContacts, {})
  await count(publicAccounts.listMenus, { userId: news })
  await count(publicAccounts.searchAccounts, {})
  await count(blacklists.blockUser, { toUserId: bob })
  await count(blacklists.listBlocked, {})
  await count(blacklists.unblockUser, { toUserId: bob })
  await count(friends.befriendSystemAccount, { toUserId: news })
  await count(friends.deleteFriend, { toUserId: bob })
  await count(follows.unfollow, { toUserId: carol })
  for (const contract of [follows, friends, blacklists, labels, addressBook, publicAccounts])
    for (const endpoint of Object.values(contract)) t.ok(counted.has(endpoint), `${endpoint.path} is counted`)
})
