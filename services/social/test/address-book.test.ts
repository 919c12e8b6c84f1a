import { errors } from '@im/contracts'
import { addressBook, addressBookLimits, contactRegistered, follows } from '@im/contracts/social'
import { createTestClient, eventually, failure, recordEvents } from '@im/service-kit/testing'
import fc from 'fast-check'
import { MongoErrorLabel, MongoServerError } from 'mongodb'
import { test } from 'tap'
import { contactKey } from '../src/address-book/contact-number.ts'
import { startSocial } from './start-social.ts'

test('an address book finds who is registered, however their number is written', async (t) => {
  const { api, person, allow } = await startSocial(t)
  const [alice, bob, carol] = [
    await person('alice'),
    await person('bob', { friendsVerify: 0 }),
    await person('carol', { phoneSearch: 0 }),
  ]
  const german = await person('german', { telephone: { areaCode: '49', number: '15123456789' } })
  await api.call(follows.follow, { toUserId: bob }, { as: alice })
  const as = { as: alice }
  t.strictSame(await api.call(addressBook.listContacts, { telephone: 'ignored' }, as), [])
  const upload = [
    { toTelephone: '138 0000-0002', toRemarkName: 'Bo\u202eb' },
    { toTelephone: 8613800000003, toRemarkName: null },
    { toTelephone: null },
    { toTelephone: '0049 1512 3456789', toRemarkName: 'G' },
    { toTelephone: '+86 138 0000 0001', toRemarkName: 'me' },
    { toTelephone: '8613799999999' },
    { toTelephone: 'no number' },
    { toTelephone: '138-0000-0002', toRemarkName: 'again' },
  ]
  const found = await api.call(addressBook.uploadContacts, { uploadJsonStr: JSON.stringify(upload) }, as)
  t.match(
    found.sort((a, b) => a.toUserId - b.toUserId),
    [
      {
        ...{
          userId: alice,
          telephone: '8613800000001',
          toTelephone: '8613800000002',
          toUserId: bob,
          toUserName: 'bob',
        },
        ...{ toRemarkName: 'Bob', registerEd: 1, registerTime: 1_700_000_000, status: 2 },
      },
      { toTelephone: '4915123456789', toUserId: german, toUserName: 'german', toRemarkName: 'G', status: 0 },
    ],
  )
  t.equal((await api.call(addressBook.listContacts, {}, as)).length, 2)
  allow(carol, { phoneSearch: 1 })
  allow(bob, { phoneSearch: 0 })
  await api.call(addressBook.uploadContacts, { uploadStr: '13800000003,13800000002' }, as)
  const listed = async () => (await api.call(addressBook.listContacts, {}, as)).map(({ toUserId }) => toUserId).sort()
  t.strictSame(await listed(), [carol, german])
  await api.call(follows.followMany, { toUserIds: String(carol) }, as)
  await api.call(follows.follow, { toUserId: alice }, { as: carol })
  t.match(await api.call(addressBook.pageContacts, { pageSize: 1 }, as), [{ registerEd: 1 }])
  const carolsRow = (await api.call(addressBook.listContacts, {}, as)).find(({ toUserId }) => toUserId === carol)
  t.equal(carolsRow?.status, 1, 'a friend by the address book')
  await api.call(addressBook.uploadContacts, { deleteStr: '+4915123456789', uploadStr: '13800000004' }, as)
  t.strictSame(await listed(), [carol])
  await t.rejects(api.call(addressBook.uploadContacts, {}, as), failure('MissingParam'))
})

test('who registers a number is told to everybody who has it, once', async (t) => {
  const { api, env, person } = await startSocial(t)
  const told = await recordEvents(t, env, contactRegistered)
  const [alice, bob] = [await person('alice'), await person('bob')]
  for (const as of [alice, bob]) await api.call(addressBook.uploadContacts, { uploadStr: '13800000003' }, { as })
  const carol = await person('carol')
  await eventually(() => told.length === 1)
  t.match(told, [{ userId: carol, nickname: 'carol', telephone: '8613800000003' }])
  t.match(
    told[0]!.owners.sort((a, b) => a.userId - b.userId),
    [
      { userId: alice, telephone: '8613800000001' },
      { userId: bob, telephone: '8613800000002' },
    ],
  )
  t.match(await api.call(addressBook.listContacts, {}, { as: alice }), [{ toUserId: carol, registerEd: 1, status: 0 }])
})

test('who is found by their number no longer, or has another one, is in no address book', async (t) => {
  const { api, deps, others, person, letBeFound, changeNumber } = await startSocial(t)
  const [alice, bob] = [await person('alice'), await person('bob', { friendsVerify: 0 })]
  const as = { as: alice }
  const upload = (uploadStr: string) => api.call(addressBook.uploadContacts, { uploadStr }, as)
  const listed = async () =>
    (await api.call(addressBook.listContacts, {}, as)).map(({ toUserId, toTelephone }) => `${toTelephone} ${toUserId}`)
  const isListed = (...rows: string[]) => eventually(async () => (await listed()).join() === rows.join())
  await upload('13800000002,13711112222')
  await isListed(`8613800000002 ${bob}`)
  t.ok((await deps.books.ownersAmong([alice], bob)).has(alice))
  await letBeFound(bob, 0)
  await isListed()
  t.notOk((await deps.books.ownersAmong([alice], bob)).has(alice), 'nobody is shown more because they had the number')
  await api.call(follows.follow, { toUserId: bob }, as)
  await letBeFound(bob, 1)
  await isListed(`8613800000002 ${bob}`)
  t.match(await api.call(addressBook.listContacts, {}, as), [{ status: 2 }], 'they were friends before')
  await changeNumber(bob, '13711112222')
  await isListed(`8613711112222 ${bob}`)
  others.beforeAnswer = async (path) => {
    if (path !== '/internal/users/by-telephones') return
    others.beforeAnswer = async () => {}
    Object.assign(others.users.get(bob) ?? {}, { phoneSearch: 0 })
  }
  await api.call(addressBook.uploadContacts, { deleteStr: '13711112222' }, as)
  t.strictSame(await upload('13711112222'), [], 'who stopped to be found in this moment is not found')
  t.strictSame(await listed(), [])
})

test('who changes again and again whether they are found is looked for once for all changes that wait', async (t) => {
  const { others, deps, person, letBeFound, erase } = await startSocial(t)
  const bob = await person('bob')
  const path = '/internal/users/friend-rules'
  const before = others.asked.length
  const looks = () => others.asked.slice(before).filter((asked) => asked === path).length
  const gate = Promise.withResolvers<void>()
  others.beforeAnswer = async (asked) => {
    if (asked === path) await gate.promise
  }
  await letBeFound(bob, 0)
  await eventually(() => looks() === 1)
  for (let n = 0; n < 30; n++) await letBeFound(bob, n % 2 ? 1 : 0)
  gate.resolve()
  await erase(bob)
  await eventually(async () => (await deps.people.find([bob])).get(bob)?.gone)
  t.ok(looks() <= 5, `${looks()} times`)
})

test('an address book has 20,000 numbers at most, uploads 5,000', async (t) => {
  const { api, person } = await startSocial(t)
  const alice = await person('alice')
  const numbers = (from: number, count: number) =>
    Array.from({ length: count }, (_, n) => ({
      toTelephone: String(13_000_000_000 + from + n),
      toRemarkName: `name ${from + n}`,
    }))
  const upload = (from: number, count: number, deleteStr = '') =>
    api.envelope(
      addressBook.uploadContacts,
      { uploadJsonStr: JSON.stringify(numbers(from, count)), deleteStr },
      { as: alice },
    )
  t.equal((await upload(0, 5001)).resultCode, errors.InvalidParams.code)
  for (let from = 0; from < 20_000; from += 5000) t.equal((await upload(from, 5000)).resultCode, 1)
  t.equal((await upload(20_000, 1)).resultCode, errors.InvalidParams.code, 'the 20,001st')
  t.equal((await upload(20_000, 1, '13000000000')).resultCode, 1, 'in the place of another one')
  t.equal((await upload(19_999, 1)).resultCode, 1, 'known ones are no more')
  const nonsense = await api.envelope(
    addressBook.uploadContacts,
    { uploadJsonStr: '[{"toRemarkName":1}]' },
    { as: alice },
  )
  t.equal(nonsense.resultCode, errors.InvalidParams.code)
})

test('who registers while their number is stored is found', async (t) => {
  const { api, others, person } = await startSocial(t)
  const as = { as: await person('alice') }
  others.beforeAnswer = async (path) => {
    if (path !== '/internal/users/by-telephones') return
    others.beforeAnswer = async () => {}
    // Their event comes before the rows.
    await person('bob', { telephone: { areaCode: '86', number: '13711112222' } })
  }
  const upload = () => api.call(addressBook.uploadContacts, { uploadStr: '13711112222' }, as)
  t.match(await upload(), [{ toTelephone: '8613711112222', toUserName: 'bob' }])
  t.match(await api.call(addressBook.listContacts, {}, as), [{ toTelephone: '8613711112222', toUserName: 'bob' }])
  t.equal((await upload()).length, 1)
})

test('of who is deleted while their numbers are stored nothing stays', async (t) => {
  const { api, others, person, deps, erase } = await startSocial(t)
  const alice = await person('alice')
  others.beforeAnswer = async (path) => {
    if (path !== '/internal/users/by-telephones') return
    others.beforeAnswer = async () => {}
    await erase(alice)
    // Everything there was has been removed.
    await eventually(async () => !(await deps.db.collection('relations').countDocuments({ userId: alice })))
  }
  await api.envelope(addressBook.uploadContacts, { uploadStr: '13711112222' }, { as: alice })
  t.equal(await deps.db.collection('contacts').countDocuments({ userId: alice }), 0)
})

test('uploads of one user at the same moment follow each other', async (t) => {
  const { url, person, deps } = await startSocial(t)
  const api = createTestClient({ baseUrl: url, callerKey: deps.config.callerKeys[0], timeout: 30_000 })
  t.after(() => api.close())
  const as = { as: await person('alice') }
  const numbers = (from: number) => Array.from({ length: 100 }, (_, n) => 13_700_000_000 + from + n).join()
  const outcomes = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      api.envelope(addressBook.uploadContacts, { uploadStr: numbers(50 * n), deleteStr: numbers(0) }, as),
    ),
  )
  // A busy machine may let the last ones wait for too long.
  const known = [1, errors.RateLimited.code]
  t.ok(
    outcomes.every(({ resultCode }) => known.includes(resultCode)),
    outcomes.map(({ resultCode }) => resultCode).join(),
  )
  t.ok(outcomes.filter(({ resultCode }) => resultCode === 1).length > 1)
})

test('a row that says something else by now is not settled', async (t) => {
  const { api, person, deps } = await startSocial(t)
  const [alice, bob] = [await person('alice'), await person('bob')]
  await api.call(addressBook.uploadContacts, { uploadStr: '13800000002' }, { as: alice })
  const [was] = await deps.books.registeredOf(alice, 1)
  t.equal(was?.toUserId, bob)
  await deps.books.settle([{ was: { ...was!, toUserId: alice }, found: undefined }])
  t.equal((await deps.books.registeredOf(alice, 1)).length, 1)
})

test('remarks that take long to clean keep nobody waiting', async (t) => {
  const { api, person } = await startSocial(t)
  const as = { as: await person('alice') }
  const cpuMs = () => (process.cpuUsage().user + process.cpuUsage().system) / 1000
  let [isOver, last, longest] = [false, cpuMs(), 0]
  const turn = () => {
    longest = Math.max(longest, cpuMs() - last)
    last = cpuMs()
    if (!isOver) setImmediate(turn)
  }
  const contacts = Array.from({ length: 1200 }, (_, n) => ({
    ...{ toTelephone: String(13_700_000_000 + n), toRemarkName: '👨\u200d'.repeat(33) },
  }))
  turn()
  const uploaded = await api.envelope(addressBook.uploadContacts, { uploadJsonStr: JSON.stringify(contacts) }, as)
  isOver = true
  t.equal(uploaded.resultCode, 1)
  t.ok(longest < 150, `others waited for ${Math.round(longest)} ms of CPU`)
})

test('nobody finds out who has a number by trying all of them', async (t) => {
  // Five calls an hour.
  const { api, deps, person } = await startSocial(t, { LIMIT_FACTOR: '0.05' })
  const most = addressBookLimits.day * 0.05
  const as = { as: await person('alice') }
  const upload = (uploadStr: string, deleteStr = '') =>
    api.envelope(addressBook.uploadContacts, { uploadStr, deleteStr }, as)
  const numbers = (from: number, count: number) =>
    Array.from({ length: count }, (_, n) => 13_700_000_000 + from + n).join()
  t.equal((await upload(numbers(0, most + 1))).resultCode, errors.RateLimited.code)
  const { books } = deps
  const add = books.add.bind(books)
  books.add = (...added) => {
    books.add = add
    add(...added)
    throw new MongoServerError({ code: 112, errorLabels: [MongoErrorLabel.TransientTransactionError] })
  }
  t.equal((await upload(numbers(0, most))).resultCode, 1, 'who has to be tried again is counted once')
  t.equal((await upload(numbers(0, most))).resultCode, 1, 'known ones are no more')
  t.equal((await upload(numbers(most, 1), numbers(0, most))).resultCode, errors.RateLimited.code)
  t.equal((await upload('', numbers(0, 1))).resultCode, 1)
  t.equal((await upload('', numbers(0, 1))).resultCode, errors.RateLimited.code, 'calls have a limit, too')
})

test('whatever is noted comes to a number that others can be asked about, or to none', async (t) => {
  for (const text of ['1e3', '110', '01', '+86110', '']) t.equal(contactKey(text, '86'), undefined, text)
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'0123456789+- ()ex') }),
      fc.constantFrom('86', '1', '49'),
      (text, code) => {
        const key = contactKey(text, code)
        return key === undefined || /^\d{1,3}:\d{4,15}$/.test(key)
      },
    ),
    { numRuns: 2000 },
  )
})
