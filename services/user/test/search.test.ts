import { internalCards, internalUsers, profiles, userSearch, userSettings } from '@im/contracts/user'
import { asMongoDb, failure, type WireParams, watchQueries } from '@im/service-kit/testing'
import { test } from 'tap'
import { recordPresences } from '../src/presence/record-presences.ts'
import { type Person, startUser } from './start-user.ts'

type Found = { userId: number; nickname: string }[]
const namesOf = (found: Found) => found.map(({ nickname }) => nickname)

test('searching users', async (t) => {
  const { api, internal, person, configure, peers, deps } = await startUser(t)
  const seeker = await person('seeker')
  const wang = await person('王小明', { sex: 1, birthday: Date.UTC(1990, 5, 1) / 1000 })
  const li = await person('李小明', { sex: 0, birthday: Date.UTC(2000, 5, 1) / 1000 })
  const shy = await person('shy 小明')
  await api.call(userSettings.updateSettings, { nameSearch: 0, phoneSearch: 0 }, { as: shy.caller })
  const query = async (params: WireParams<(typeof userSearch)['searchUsers']>, who: Person = seeker) =>
    namesOf(await api.call(userSearch.searchUsers, params, { as: who.caller }))
  const nearby = async (params: WireParams<(typeof userSearch)['findNearby']>, who: Person = seeker) =>
    namesOf(await api.call(userSearch.findNearby, params, { as: who.caller }))

  t.test('finds parts of nicknames, newest first or oldest first', async (t) => {
    t.strictSame(await query({ nickname: '小明' }), ['李小明', '王小明'])
    t.strictSame(await nearby({ nickname: '小明' }), ['王小明', '李小明'])
    t.strictSame(await query({ nickname: '王' }), ['王小明'])
    t.strictSame(await query({ nickname: '明小' }), [])
    t.strictSame(await query({ nickname: '小明', userId: li.userId }), ['王小明'], 'the cursor')
    t.strictSame(await query({ nickname: '小明', pageSize: 1, pageIndex: 1 }), ['王小明'])
    t.strictSame(await query({ nickname: '.*' }), [], 'a keyword is no pattern')
    const { resultMsg } = await api.envelope(userSearch.searchUsers, {}, { as: seeker.caller })
    t.equal(resultMsg, '用户查询成功')
  })

  t.test('without a criterion the newest users are listed, and nobody nearby', async (t) => {
    t.strictSame(await query({}), ['shy 小明', '李小明', '王小明'])
    t.strictSame(await nearby({}), [])
    t.strictSame(await nearby({ longitude: 0, latitude: 0 }), [])
  })

  t.test('filters by sex, age and birthday', async (t) => {
    t.strictSame(await query({ sex: 1 }), ['王小明'])
    t.strictSame(await query({ sex: -1, nickname: '小明' }), ['李小明', '王小明'])
    t.strictSame(await query({ minAge: 30 }), ['王小明'])
    t.strictSame(await query({ maxAge: 30 }), ['李小明'], 'an unknown age is none')
    t.strictSame(await query({ minAge: 0, maxAge: 200 }), ['shy 小明', '李小明', '王小明'])
    const day = Date.UTC(2000, 5, 1) / 1000
    t.strictSame(await query({ startTime: day - 1, endTime: day }), ['李小明'])
    t.strictSame(await nearby({ nickname: '小明', birthday: day + 3600 }), ['李小明'])
  })

  t.test('finds accounts and numbers, as far as users allow it', async (t) => {
    t.strictSame(await nearby({ nickname: wang.phone }), ['王小明'])
    t.strictSame(await nearby({ telephone: `86${wang.phone}` }), ['王小明'])
    t.strictSame(await query({ telephone: wang.phone }), ['王小明'])
    t.strictSame(await query({ telephone: wang.phone, sex: 0 }), [])
    t.strictSame(await query({ telephone: shy.phone }), [])
    t.strictSame(await nearby({ nickname: shy.phone }), [])
    await api.call(profiles.updateUser, { account: 'shy_one' }, { as: shy.caller })
    t.strictSame(await nearby({ nickname: 'SHY_ONE' }), ['shy 小明'], 'an account is for finding')
    t.strictSame(await nearby({ userId: li.userId }), ['李小明'])
    await api.call(userSettings.updateSettings, { closeTelephoneFind: 1 }, { as: li.caller })
    t.strictSame(await query({ telephone: li.phone }), [])
  })

  t.test('follows the configuration', async (t) => {
    await configure({ nicknameSearchUser: 1 })
    t.strictSame(await query({ nickname: '小明' }), [])
    t.strictSame(await query({ nickname: '王小明' }), ['王小明'])
    await configure({ nicknameSearchUser: 0, telephoneSearchUser: 0 })
    t.strictSame(await query({ nickname: '王小明' }), [])
    t.strictSame(await nearby({ nickname: wang.phone }), [])
    await configure({ nicknameSearchUser: 2, telephoneSearchUser: 1 })
  })

  t.test('follows changes of name, settings and state at once', async (t) => {
    const zhao = await person('zhao')
    const named = () => query({ nickname: 'zh' })
    t.strictSame(await named(), ['zhao'])
    await api.call(profiles.updateUser, { nickname: 'ZHOU' }, { as: zhao.caller })
    t.strictSame([await named(), await query({ nickname: 'hao' })], [['ZHOU'], []])
    await api.call(userSettings.updateSettings, { nameSearch: 0 }, { as: zhao.caller })
    t.strictSame(await named(), [])
    await api.call(userSettings.updateSettings, { nameSearch: 1 }, { as: zhao.caller })
    await internal.call(internalUsers.setLocked, { userId: zhao.userId, locked: 1 })
    t.strictSame(await named(), [])
    await internal.call(internalUsers.setLocked, { userId: zhao.userId, locked: 0 })
    t.strictSame(await named(), ['ZHOU'])
    await internal.call(internalUsers.deleteUser, { userId: zhao.userId })
    t.strictSame(await named(), [])
  })

  t.test('shows no one who blocked the viewer, and of others what they allow', async (t) => {
    peers.relate(seeker, wang, { isBlocked: true })
    t.strictSame(await query({ nickname: '小明' }), ['李小明'])
    peers.relate(seeker, wang, { status: 2 })
    const cards = await api.call(userSearch.searchUsers, { nickname: '小明' }, { as: seeker.caller })
    const [friend, stranger] = [cards.find(({ sex }) => sex === 1), cards.find(({ sex }) => sex === 0)]
    t.equal(friend?.phone, wang.phone)
    t.equal(friend?.friends?.status, 2)
    t.equal(stranger?.phone, undefined)
    t.ok((friend?.age ?? 0) >= 36)
    const asked = await internal.call(internalCards.getCards, { userIds: `${wang.userId},${li.userId},999` })
    t.strictSame(namesOf(asked.cards), ['王小明', '李小明'])
    t.equal(asked.cards[0]?.phone, undefined, 'as a stranger sees them')
  })

  t.test('active users are those who were seen lately', async (t) => {
    await recordPresences(deps, [{ userId: wang.userId, online: true, at: Date.now() }])
    t.strictSame(await nearby({ nickname: '小明', active: 3600 }), ['王小明', '李小明'])
    await deps.db
      .collection<{ _id: number }>('users')
      .updateOne({ _id: li.userId }, { $set: { 'lastLogin.loginTime': 5 } })
    t.strictSame(await nearby({ nickname: '小明', active: 3600 }), ['王小明'])
  })
})

test('for an age the newest ten thousand users are looked at, for a sex all', async (t) => {
  const { api, person, deps } = await startUser(t)
  const seeker = await person('seeker')
  const born = { birthday: Date.UTC(1990, 5, 1) / 1000 }
  await person('old', { ...born, sex: 1 })
  await deps.db.collection<{ _id: string }>('counters').updateOne({ _id: 'userId' }, { $inc: { value: 20_000 } })
  await person('new', { ...born, sex: 0 })
  const query = async (params: WireParams<(typeof userSearch)['searchUsers']>) =>
    namesOf(await api.call(userSearch.searchUsers, params, { as: seeker.caller }))
  for (const params of [{ minAge: 30 }, { startTime: born.birthday, endTime: born.birthday }])
    t.strictSame(await query(params), ['new'])
  t.strictSame(await query({ sex: 1 }), ['old'])
  t.strictSame(await query({ nickname: 'old', minAge: 30, sex: 1 }), ['old'])
  t.strictSame(await query({ nickname: 'old', sex: 0 }), [])
  const asked = { nickname: 'old', sex: 1, minAge: 30 }
  t.strictSame(await asMongoDb(deps.db, () => query(asked)), ['old'], 'and as MongoDB is asked')
})

test('who does not show everybody when they logged in is found as active only while they are online', async (t) => {
  const { api, deps, person } = await startUser(t)
  const [viewer, shy] = [await person('viewer'), await person('shy', { longitude: 10, latitude: 10 })]
  const ways: WireParams<(typeof userSearch)['findNearby']>[] = [
    { userId: shy.userId },
    { nickname: 'shy' },
    { longitude: 10, latitude: 10 },
  ]
  const isFound = async () => {
    const found = await Promise.all(
      ways.map((way) => api.call(userSearch.findNearby, { ...way, active: 3600 }, { as: viewer.caller })),
    )
    return found.map(({ length }) => length)
  }
  t.strictSame(await isFound(), [1, 1, 1])
  for (const showLastLoginTime of [2, 3, -1]) {
    await api.call(userSettings.updateSettings, { showLastLoginTime }, { as: shy.caller })
    t.strictSame(await isFound(), [0, 0, 0], 'nobody finds out the time by trying')
  }
  await recordPresences(deps, [{ userId: shy.userId, online: true, at: Date.now() }])
  t.strictSame(await isFound(), [1, 1, 1])
})

test('people around are listed by distance, while their position is fresh', async (t) => {
  const { api, person, passSeconds } = await startUser(t)
  const at = (longitude: number, latitude: number) => ({ longitude, latitude })
  const me = await person('me', at(114.05, 22.54))
  await person('near', at(114.051, 22.541))
  await person('next', at(114.06, 22.55))
  await person('far', at(116.4, 39.9))
  await person('nowhere')
  const around = async (params: object = {}) =>
    api.call(userSearch.findNearby, { ...at(114.05, 22.54), ...params }, { as: me.caller })
  const found = await around()
  t.strictSame(namesOf(found), ['near', 'next'])
  t.ok((found[0]?.distance ?? 0) > 0.1 && (found[0]?.distance ?? 9) < 0.2, 'kilometres')
  t.strictSame(found[1]?.loc, { lat: 22.55, lng: 114.06 })
  t.strictSame(namesOf(await around({ distance: 1 })), ['near'])
  t.strictSame(namesOf(await around({ nickname: 'NEX' })), ['next'])
  t.strictSame(namesOf(await around({ pageSize: 1, pageIndex: 1 })), ['next'])
  t.strictSame(namesOf(await around({ pageIndex: 1_000_000 })), [])
  const fresh = await api.call(userSearch.listNewUsers, at(114.05, 22.54), { as: me.caller })
  t.strictSame(namesOf(fresh), ['nowhere', 'far', 'next', 'near'])
  t.equal(fresh[0]?.distance, undefined)
  const toBeijing = fresh[1]?.distance ?? 0
  t.ok(toBeijing > 1900 && toBeijing < 2000, `${toBeijing} km`)
  t.strictSame(namesOf(await around({ nickname: 'a', distance: 500 })), ['near'], 'a keyword looks around, too')
  t.strictSame(namesOf(await around({ nickname: 'far' })), [], 'who is too far away has the name in vain')
  await t.rejects(around({ latitude: 91 }), failure('InvalidParams'))
  passSeconds(7 * 86_400 + 10)
  t.strictSame(namesOf(await around()), [])
  t.strictSame(namesOf(await around({ nickname: 'near' })), [], 'nor by a keyword')
  const cards = await api.call(userSearch.searchUsers, { nickname: 'near' }, { as: me.caller })
  t.match([found[0]?.loc, cards[0]?.nickname, cards[0]?.loc], [{}, 'near', undefined], 'and is told to nobody')
})

test('nobody finds out more of a position than is shown of it', async (t) => {
  const { api, person } = await startUser(t)
  const [spy, shown] = [await person('spy'), { latitude: 22.546, longitude: 114.065 }]
  await person('here', shown)
  await person('there', { latitude: 22.5464321, longitude: 114.0645678 })
  const around = (params: object) => api.call(userSearch.findNearby, params, { as: spy.caller })
  const metresPerDegree = 111_320 * Math.cos((shown.latitude * Math.PI) / 180)
  /** The edge of a circle of one kilometre passes both at the same place, and so do the digits of the distance. */
  for (let metres = 900; metres <= 1100; metres += 10) {
    const place = { latitude: shown.latitude, longitude: shown.longitude + metres / metresPerDegree }
    for (const more of [{}, { nickname: 'here' }]) {
      const cards = await around({ ...place, ...more, distance: 1 })
      t.ok(cards.length === 0 || cards.length === 2, `${metres} m`)
      t.equal(cards[0]?.distance, cards[1]?.distance)
      t.strictSame(cards[0]?.loc, cards[1]?.loc)
    }
    const fresh = await api.call(userSearch.listNewUsers, place, { as: spy.caller })
    t.equal(fresh[0]?.distance, fresh[1]?.distance)
    t.strictSame(fresh.map(({ loc }) => loc).slice(0, 2), Array(2).fill({ lat: shown.latitude, lng: shown.longitude }))
  }
})

test('searches are limited, use indexes and need three round trips', async (t) => {
  const { api, person, deps } = await startUser(t, { LIMIT_FACTOR: '1' })
  const me = await person('me', { longitude: 1, latitude: 1 })
  await person('other')
  const as = { as: me.caller }
  await deps.serverConfig.get()
  const queries = watchQueries(deps)
  /**
   * One trip for each collection: what is asked of one is asked at once, or again because the stand-in takes short ranges. The
   * configuration is read once a second, whatever is asked.
   */
  const asked = new Set<string>()
  const own = new Set(['users', 'searchable-users', 'names', 'counters'])
  deps.mongoClient.on('commandStarted', ({ databaseName, commandName, command }) => {
    if (databaseName === deps.db.databaseName && own.has(command[commandName]))
      asked.add(command[commandName] as string)
  })
  const calls: (() => Promise<unknown>)[] = [
    () => api.call(userSearch.searchUsers, { nickname: 'oth' }, as),
    () => api.call(userSearch.searchUsers, { telephone: '13900000002' }, as),
    () => api.call(userSearch.searchUsers, { sex: 1 }, as),
    () => api.call(userSearch.findNearby, { nickname: 'other' }, as),
    () => api.call(userSearch.findNearby, { longitude: 1, latitude: 1 }, as),
    () => api.call(userSearch.findNearby, { longitude: 1, latitude: 1, nickname: 'oth' }, as),
    () => api.call(userSearch.listNewUsers, {}, as),
  ]
  for (const call of calls) {
    asked.clear()
    await call()
    t.ok(asked.size <= 3, `${call}: ${[...asked]}`)
  }
  await queries.demandIndexes(t)
  for (let n = 0; n < 55; n++) await api.call(userSearch.searchUsers, {}, as)
  await t.rejects(api.call(userSearch.findNearby, { nickname: 'x' }, as), failure('RateLimited'))
  await api.call(userSearch.listNewUsers, {}, as)
  await t.rejects(api.call(userSearch.listNewUsers, { minAge: 20 }, as), failure('RateLimited'))
})
