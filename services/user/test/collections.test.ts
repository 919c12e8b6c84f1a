import { collections } from '@im/contracts/user'
import { failure, type WireParams } from '@im/service-kit/testing'
import { ObjectId } from 'mongodb'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('collections', async (t) => {
  const { api, deps, person, peers, passSeconds } = await startUser(t)
  const alice = await person('alice')
  const bob = await person('bob')
  const as = { as: alice.caller }
  const add = (params: WireParams<(typeof collections)['addCollected']>) =>
    api.call(collections.addCollected, params, as)
  const listed = () => api.call(collections.listCollected, {}, as)
  const say = (messageId: string, content: string, room?: string) => {
    const body = JSON.stringify({ type: 1, content })
    peers.messages.push({
      messageId,
      from: bob.userId,
      body,
      type: 1,
      readers: [alice.userId],
      ...(room ? { room } : {}),
    })
    return body
  }

  t.test('apps send items as JSON, with numbers as texts', async (t) => {
    const item = { type: '5', msg: '{"content":"hi"}', msgId: 'm1', collectType: '0', fileSize: '1.5', title: 't' }
    await add({ emoji: JSON.stringify([item, { type: 1, url: 'http://x/1.jpg', collectType: -1 }]) })
    passSeconds(2)
    await add({ emoji: JSON.stringify({ type: 7, msg: 'link', shareURL: 'http://y' }), messageId: 'm2' })
    const rows = await listed()
    t.strictSame([rows.length, rows[0]?.type], [3, 7], 'the newest first')
    t.equal(rows[0]?.msgId, 'm2')
    t.match(
      rows.find(({ type }) => type === 5),
      { msg: '{"content":"hi"}', fileSize: 1.5, fileLength: 0, title: 't', userId: alice.userId },
    )
    t.strictSame(await api.call(collections.listCollected, { type: 7 }, as), [rows[0]])
    t.equal((await api.call(collections.listCollected, { pageSize: 1, pageIndex: 2 }, as)).length, 1)
  })

  t.test('files of ours that are collected stay', async (t) => {
    const [first, second] = ['a', 'b'].map((digit) => `u/1/10000001/202611/o/${digit.repeat(32)}.jpg`)
    const msg = `{"content":"http:\\/\\/files.test\\/${second?.replaceAll('/', '\\/')}"}`
    await add({
      emoji: JSON.stringify([
        { type: 1, url: `http://files.test/${first}` },
        { type: 1, msg },
      ]),
    })
    t.strictSame(peers.keptFiles, [first, second])
  })

  t.test('nothing is kept twice', async (t) => {
    const before = (await listed()).length
    const items = [
      { type: 5, msg: 'again', msgId: 'm9' },
      { type: 5, msg: 'other', msgId: 'm9' },
    ]
    await add({ emoji: JSON.stringify(items.slice(0, 1)) })
    for (const item of [...items, { type: 5, msg: 'again', msgId: 'm10' }])
      await t.rejects(add({ emoji: JSON.stringify(item) }), failure('AlreadyCollected'))
    await add({ emoji: JSON.stringify([...items, { type: 5, msg: 'new', msgId: 'm11' }]) })
    t.equal((await listed()).length, before + 2)
    const twice = ['m12', 'm13'].map((msgId) => ({ type: 5, msg: 'twice', msgId }))
    await add({ emoji: JSON.stringify(twice) })
    t.equal((await listed()).filter(({ msg }) => msg === 'twice').length, 1)
    const race = JSON.stringify({ type: 5, msg: 'race' })
    const outcomes = await Promise.all([1, 2, 3].map(() => api.envelope(collections.addCollected, { emoji: race }, as)))
    t.equal(outcomes.filter(({ resultCode }) => resultCode === 1).length, 1)
  })

  t.test('emoji are listed by themselves', async (t) => {
    const before = (await listed()).length
    await add({ url: 'http://x/e.gif' })
    await t.rejects(add({ url: 'http://x/e.gif' }), failure('AlreadyCollected'))
    await t.rejects(add({}), failure('MissingParam'))
    t.match(await api.call(collections.listEmoji, {}, as), [{ type: 6, url: 'http://x/e.gif' }])
    t.equal((await listed()).length, before)
  })

  t.test('messages are kept as they are stored, if the caller can read them', async (t) => {
    const body = say('n1', 'hello')
    const room = 'a'.repeat(32)
    say('n2', 'in a room', room)
    peers.messages.push({ messageId: 'n3', from: bob.userId, body: '{}', type: 1, readers: [bob.userId] })
    await add({ msgId: 'n1', type: 5, roomJid: '0' })
    await add({ msgId: 'n2', type: 5, roomJid: room })
    const rows = await listed()
    t.equal(rows.find(({ msgId }) => msgId === 'n1')?.msg, body)
    t.equal(rows.find(({ msgId }) => msgId === 'n2')?.roomJid, room)
    for (const msgId of ['n3', 'n4', 'n2']) await t.rejects(add({ msgId, type: 5 }), failure('MessageNotFound'), msgId)
    await t.rejects(add({ msgId: 'n1,n2', type: 5 }), failure('InvalidParams'))
  })

  t.test('bad items are refused, and nothing of them is kept', async (t) => {
    const before = (await listed()).length
    const bad = ['{"type":5}', '{"type":9,"msg":"x"}', '{"type":"x","msg":"x"}', '[]', '[1]', '"x"', '{', '{"$ne":1}']
    for (const emoji of bad) {
      const { resultCode } = await api.envelope(collections.addCollected, { emoji }, as)
      t.ok([1_010_101, 1_010_102].includes(resultCode), `${emoji}: ${resultCode}`)
    }
    const mixed = JSON.stringify([{ type: 5, msg: 'good' }, { type: 5 }])
    await t.rejects(add({ emoji: mixed }), failure('MissingParam'))
    t.equal((await listed()).length, before)
    await t.rejects(api.call(collections.listEmoji, { userId: bob.userId }, as), failure('PermissionDenied'))
  })

  t.test('whoever keeps very much gets the newest of it', async (t) => {
    const carol = await person('carol')
    const long = 'x'.repeat(60_000)
    const item = { userId: carol.userId, type: 5, fileLength: 0, fileSize: 0, collectType: 1, collectContent: long }
    for (let n = 0; n < 80; n++)
      await deps.collected.add([{ ...item, _id: new ObjectId(), sameAs: [`${n}`], createTime: n, msg: `${n} ${long}` }])
    const rows = await api.call(collections.listCollected, {}, { as: carol.caller })
    const text = rows.reduce((sum, { msg = '', collectContent = '' }) => sum + msg.length + collectContent.length, 0)
    t.equal(rows[0]?.msg, `79 ${long}`)
    t.ok(rows.length > 50 && text <= 8 * 2 ** 20, `${rows.length} rows of ${text} characters`)

    const dave = await person('dave')
    const field = 'x'.repeat(4096)
    const link = { userId: dave.userId, type: 7, url: field, title: field, shareURL: field, fileName: field }
    const made = { ...link, fileLength: 0, fileSize: 0, collectType: 0, createTime: 1 }
    for (let n = 0; n < 6; n++)
      await deps.collected.add(Array.from({ length: 100 }, () => ({ ...made, _id: new ObjectId(), sameAs: [] })))
    const links = await api.call(collections.listCollected, {}, { as: dave.caller })
    t.ok(links.length > 500 && links.length <= 512, `${links.length} links: every text counts`)

    const erin = await person('erin')
    const short = { ...item, userId: erin.userId, collectContent: '' }
    const many = Array.from({ length: 5150 }, (_, n) => ({ ...short, _id: new ObjectId(), sameAs: [], createTime: n }))
    await deps.collected.add(many)
    const page = async (pageIndex: number) =>
      (await api.call(collections.listCollected, { pageIndex, pageSize: 100 }, { as: erin.caller })).map(
        ({ createTime }) => createTime,
      )
    t.strictSame(
      [await page(50), await page(51), await page(52)].map((rows) => [rows.length, rows[0]]),
      [
        [100, 149],
        [50, 49],
        [0, undefined],
      ],
    )
    t.strictSame(await page(10_000), [])
  })

  t.test('only the own ones are deleted', async (t) => {
    const [first, second] = await listed()
    const ids = [first?.emojiId, second?.emojiId, 'nonsense', 'f'.repeat(24)].join()
    await api.call(collections.deleteCollected, { emojiId: ids }, { as: bob.caller })
    t.strictSame((await listed())[0], first)
    await api.call(collections.deleteCollected, { emojiId: ids }, as)
    t.notOk((await listed()).some(({ emojiId }) => emojiId === first?.emojiId || emojiId === second?.emojiId))
  })
})
