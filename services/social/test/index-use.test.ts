import { friendsTold } from '@im/contracts/message'
import {
  addressBook,
  blacklists,
  follows,
  friends,
  internalRelations,
  labels,
  pairOf,
  publicAccounts,
  replayedRelations,
} from '@im/contracts/social'
import { eventually, watchQueries } from '@im/service-kit/testing'
import { test } from 'tap'
import { startSocial } from './start-social.ts'

test('every query the service sends uses an index', async (t) => {
  const { api, internal, deps, person, rename, letBeFound, erase, publish } = await startSocial(t)
  const queries = watchQueries(deps)
  const [alice, bob] = [await person('alice'), await person('bob', { friendsVerify: 0 })]
  const news = await person('news', { userType: 2 })
  const as = { as: alice }
  await api.call(follows.follow, { toUserId: bob }, as)
  await api.call(follows.followMany, { toUserIds: `${bob},${news}` }, as)
  await api.call(friends.addFriend, { toUserId: bob }, as)
  await api.call(friends.remarkFriend, { toUserId: bob, remarkName: 'B' }, as)
  await api.call(friends.switchForFriend, { toUserId: bob, offlineNoPushMsg: 1 }, as)
  await api.call(friends.listFriends, {}, as)
  await api.call(friends.pageFriends, { status: 0 }, as)
  for (const type of ['friendList', 'blackList'] as const) await api.call(friends.listFriendIds, { type }, as)
  await api.call(follows.listFans, {}, as)
  for (const status of [0, 1]) await api.call(follows.listFollowed, { status }, as)
  const { groupId } = await api.call(labels.addLabel, { groupName: 'x' }, as)
  await api.call(labels.renameLabel, { groupId, groupName: 'y' }, as)
  await api.call(labels.setLabelFriends, { groupId, userIdListStr: String(bob) }, as)
  await api.call(labels.setFriendLabels, { toUserId: bob }, as)
  await api.call(labels.listLabels, {}, as)
  await api.call(addressBook.uploadContacts, { uploadStr: '13800000002,13800000009', deleteStr: '13700000000' }, as)
  await api.call(
    addressBook.uploadContacts,
    { uploadJsonStr: '[{"toTelephone":"13800000002","toRemarkName":"b"}]' },
    as,
  )
  await api.call(addressBook.listContacts, {}, as)
  await api.call(addressBook.pageContacts, {}, as)
  await api.call(publicAccounts.listMenus, { userId: news }, as)
  await api.call(publicAccounts.searchAccounts, {}, as)
  await api.call(publicAccounts.searchAccounts, { keyWorld: 'n' }, as)
  await api.call(blacklists.blockUser, { toUserId: bob }, as)
  await api.call(blacklists.listBlocked, { pageSize: 5 }, as)
  await api.call(blacklists.unblockUser, { toUserId: bob }, as)
  await api.call(friends.listNewFriends, {}, as)
  await internal.call(internalRelations.getRelations, { viewerId: alice, userIds: `${bob}` })
  await internal.call(internalRelations.countRelations, { userIds: `${alice},${bob}` })
  await internal.call(internalRelations.getStandings, { pairs: pairOf(alice, bob) })
  await internal.call(internalRelations.pageFriendIds, { userId: alice, after: 1 })
  const [page] = [await internal.call(replayedRelations.pageRelations, { pageSize: 1 })]
  const next = await internal.call(replayedRelations.pageRelations, { after: page.next, pageSize: 500 })
  const row = [...page.rows, ...next.rows].find(({ aggregate }) => aggregate === pairOf(alice, bob))
  t.match(row?.data, {
    low: alice,
    high: bob,
    ofLow: { remarkName: 'B', offlineNoPushMsg: 1 },
    ofHigh: { remarkName: '' },
  })
  const told = { messageId: 'm', from: alice, to: bob, contentType: 502, content: 'why?', arrivedAt: Date.now() }
  await publish(friendsTold, 'log:x', { messages: [told] })
  await eventually(async () =>
    (await api.call(friends.listNewFriends, {}, as)).some(({ content }) => content === 'why?'),
  )
  await deps.everybodysFriends.add(news)
  const dave = await person('dave')
  await eventually(async () => await deps.relations.byId(dave, news))
  await rename(bob, 'Bob')
  await letBeFound(bob, 0)
  await letBeFound(bob, 1)
  await eventually(async () => (await api.call(addressBook.listContacts, {}, as)).length === 1)
  await api.call(follows.unfollow, { toUserId: news }, as)
  await api.call(friends.deleteFriend, { toUserId: bob }, as)
  await erase(alice)
  await eventually(
    async () => !(await deps.relations.byId(alice, 10000)) && (await deps.people.find([alice])).get(alice)?.gone,
  )
  for (const collection of ['relations', 'people', 'labels', 'new_friends', 'contacts', 'menus'])
    t.ok(queries.collections().has(collection), collection)
  await queries.demandIndexes(t)
})
