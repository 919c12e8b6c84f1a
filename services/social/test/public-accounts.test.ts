import { blacklists, follows, publicAccounts } from '@im/contracts/social'
import { noticeUserId } from '@im/contracts/user'
import { Long } from 'mongodb'
import { test } from 'tap'
import { cardOf, startSocial } from './start-social.ts'

test('public accounts are found by their names, and no others', async (t) => {
  const { api, deps, others, person } = await startSocial(t)
  const alice = await person('alice.news')
  const notices = { _id: noticeUserId, nickname: 'notices', userType: 2 }
  await deps.outbox.commit((change) => deps.people.put([notices], change))
  const [first, second] = [await person('Daily.News', { userType: 2 }), await person('weekly news', { userType: 2 })]
  await api.call(follows.follow, { toUserId: second }, { as: alice })
  const search = (params: object) => api.call(publicAccounts.searchAccounts, params, { as: alice })
  t.match(await search({}), [{ userId: 10_000 }, { userId: first }, { userId: second, friends: { status: 2 } }])
  t.strictSame(
    (await search({ keyWorld: 'NEWS' })).map(({ userId }) => userId),
    [first, second],
  )
  t.strictSame(
    (await search({ keyword: '.n' } as object)).map(({ userId }) => userId),
    [first],
    'no pattern',
  )
  t.strictSame(
    (await search({ page: 1, limit: 2 })).map(({ userId }) => userId),
    [second],
  )
  t.strictSame(await search({ keyWorld: 'notices' }), [], 'the sender of notices is nobody to follow')
  t.strictSame(await search({ keyWorld: 'a\u3000b' }), [], 'a blank of another script is no pattern either')
  t.strictSame(await search({ page: 1_000_000, limit: 100 }), [])
  t.notOk('friends' in (await search({ keyWorld: 'daily' }))[0]!)

  others.answers['/internal/users/cards'] = ({ userIds }: { userIds: number[] }) => ({
    cards: userIds.map((userId) => ({ ...cardOf(others.users.get(userId))[0], onlinestate: 1 })),
  })
  await api.call(blacklists.blockUser, { toUserId: alice }, { as: first })
  const states = (await search({ keyWorld: 'news' })).map(({ onlinestate }) => onlinestate)
  t.strictSame(states, [0, 1], 'whom an account blocked sees it offline')
})

test('menus have ids of 64 bits, two levels and an order', async (t) => {
  const { url, api, deps, person } = await startSocial(t)
  const alice = await person('alice')
  const news = await person('news', { userType: 2 })
  const menu = (id: bigint, parentId: bigint, index: number, name: string) => ({
    ...{ _id: Long.fromBigInt(id), parentId: Long.fromBigInt(parentId), userId: news, name, index },
    url: 'http://x.test/a b',
  })
  const top = 9_007_199_254_740_993n
  await deps.db
    .collection<{ _id: Long }>('menus')
    .insertMany([menu(top, 0n, 2, 'second'), menu(5n, 0n, 1, 'first'), menu(top + 2n, top, 0, 'child')])
  const { text } = await ask(url)
  t.match(text, /"id":9007199254740993[,}]/)
  t.match(text, /"id":9007199254740995,.*"parentId":9007199254740993[,}]/)
  t.match(JSON.parse(text).data, [
    { name: 'first', url: 'http://x.test/ab', menuList: [] },
    { name: 'second', parentId: 0, menuList: [{ name: 'child', menuList: [] }] },
  ])
  t.strictSame(await api.call(publicAccounts.listMenus, { userId: alice }, { as: alice }), [])

  /** The answer as it is on the wire: numbers of JavaScript would lose digits. */
  async function ask(baseUrl: string) {
    const { callerHeader, signCaller } = await import('@im/service-kit')
    const path = `${publicAccounts.listMenus.path}?userId=${news}`
    const caller = { userId: alice, sessionId: '', device: 'android', kind: 'user' } as const
    const seen = { ip: '127.0.0.1', requestId: 'x', proto: 'http', host: 'im.test', caller } as const
    const signed = signCaller(deps.config.callerKeys, seen, { method: 'GET', url: path })
    const answer = await fetch(baseUrl + path, { headers: { [callerHeader]: signed } })
    return { text: await answer.text() }
  }
})
