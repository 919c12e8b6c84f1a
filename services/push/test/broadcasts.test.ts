import { accountBroadcasts, consoleBroadcasts } from '@im/contracts/push'
import { eventually, failure, watchQueries } from '@im/service-kit/testing'
import { ObjectId } from 'mongodb'
import { test } from 'tap'
import { service } from '../src/service.ts'
import { away, fill, news, startPush, withOp } from './start-broadcasts.ts'

test('each fan gets a broadcast once, and the account sees how far it has come', async (t) => {
  const { api, as, neighbours, broadcast, ended, deps } = await startPush(t)
  const queries = watchQueries(deps)
  fill(neighbours.fans, 1201)
  const id = await broadcast('hello')
  t.equal(await broadcast('hello', id), id, 'made again it is the same')
  t.match(await ended(id), { state: 'done', of: 1201, done: 1201, failed: 0 })
  t.strictSame(neighbours.sent.map(({ userId }) => userId).sort(), [...neighbours.fans].sort())
  t.equal(new Set(neighbours.sent.map(({ messageId }) => messageId)).size, 1201)
  t.ok(Math.max(...neighbours.sizes) <= 200)
  const second = await broadcast('again')
  await ended(second)
  t.equal(neighbours.sent.length, 2402, 'another broadcast has other ids')
  const page = await api.call(accountBroadcasts.listAccountBroadcasts, { pageSize: 1 }, { as })
  t.match(page, { total: 2, pageCount: 2, pageData: [{ id: second, state: 'done', content: 'again', done: 1201 }] })
  const other = { ...as, userId: news + 1 }
  t.match(await api.call(accountBroadcasts.listAccountBroadcasts, {}, { as: other }), { total: 0, pageData: [] })
  await queries.demandIndexes(t)
})

test('one to nobody ends at once; one whose account is gone is canceled', async (t) => {
  const { neighbours, broadcast, ended } = await startPush(t)
  t.match(await ended(await broadcast()), { state: 'done', of: 0, done: 0 })
  neighbours.isAccount = false
  t.match(await ended(await broadcast()), { state: 'canceled', done: 0 })
  t.equal(neighbours.calls, 0)
})

test('an account that is locked or deleted meanwhile sends nothing more, to whomever', async (t) => {
  const { api, neighbours, broadcast, ended, deps } = await startPush(t)
  fill(neighbours.fans, 300)
  fill(neighbours.users, 300)
  const after = (end: () => void) => {
    neighbours.after = async () => end()
  }
  const staff = { userId: 7, sessionId: 's', device: 'web', kind: 'console', role: 5 } as const
  for (const toAll of [false, true])
    for (const gone of ['isLocked', 'isGone'] as const) {
      Object.assign(neighbours, { isLocked: false, isGone: false })
      after(() => Object.assign(neighbours, { [gone]: true }))
      if (toAll) await api.call(consoleBroadcasts.pushToAll, { fromUserId: news, body: 'x' }, { as: staff })
      else await broadcast()
      const [newest] = (await deps.broadcasts.repository.page(undefined, 0, 1)).rows
      const { state, done } = await ended(newest!._id.toHexString())
      t.strictSame([state, done], ['canceled', neighbours.sizes.at(-1)], `${gone}, to all: ${toAll}`)
      t.ok(done < 300)
    }
})

test('a broadcast is paused, goes on, and is canceled by its account and no other', async (t) => {
  const { api, as, neighbours, broadcast, get, ended } = await startPush(t, { pace: 400 })
  fill(neighbours.fans, 1000)
  const id = await broadcast()
  const change = (op: string, caller = as) =>
    api.call(withOp(accountBroadcasts.changeAccountBroadcast, op), { id }, { as: caller })
  await eventually(() => neighbours.sent.length > 0)
  await t.rejects(change('pause', { ...as, userId: news + 1 } as never), failure('BroadcastNotFound'))
  t.match(await change('pause'), { state: 'paused' })
  const settled = await eventually(async () => {
    const before = neighbours.sent.length
    await new Promise((resolve) => setTimeout(resolve, 700))
    return neighbours.sent.length === before ? before : undefined
  })
  t.ok(settled < 1000)
  t.match(await get(id), { state: 'paused', done: settled })
  t.match(await change('resume'), { state: 'running' })
  await eventually(() => neighbours.sent.length > settled)
  const canceled = await change('cancel')
  t.equal(canceled.state, 'canceled')
  t.ok(canceled.endTime >= canceled.createTime && canceled.createTime > 0, 'it is listed for half a year from now on')
  t.match(await change('resume'), { state: 'canceled' }, 'for good')
  t.ok((await ended(id)).done < 1000)
  await t.rejects(change('explode'), failure('InvalidParams'))
  await t.rejects(
    api.call(withOp(accountBroadcasts.changeAccountBroadcast, 'pause'), { id: 'f'.repeat(24) }, { as }),
    failure('BroadcastNotFound'),
  )
})

test('one that is canceled while its end is being found stays canceled', async (t) => {
  const { api, as, neighbours, broadcast, get, ended } = await startPush(t)
  let asked = 0
  neighbours.beforePage = async () => {
    if (asked++ === 0) await api.call(withOp(accountBroadcasts.changeAccountBroadcast, 'cancel'), { id: first }, { as })
  }
  const first = new ObjectId().toHexString()
  await broadcast('to nobody', first)
  await eventually(() => asked === 1)
  // The next one has its turn when that of the first is over.
  await ended(await broadcast('next'))
  t.match(await get(first), { state: 'canceled' })
})

test('the pace holds for all broadcasts together, and a small one is not held up by a large one', async (t) => {
  const { neighbours, broadcast, ended, get } = await startPush(t, { pace: 400 })
  fill(neighbours.fans, 900)
  const startedAt = performance.now()
  const large = await broadcast('large')
  await eventually(() => neighbours.sent.length > 0)
  const small = await broadcast('small')
  await eventually(() => neighbours.sent.some(({ content }) => content === 'small'))
  t.match(await get(large), { state: 'running' })
  await Promise.all([ended(large), ended(small)])
  const seconds = (performance.now() - startedAt) / 1000
  t.equal(neighbours.sent.length, 1800)
  t.ok(seconds > 1800 / 400 - 0.6, `took ${seconds} s`)
})

test('parts grow while they are sent quickly, and shrink while the message service takes its time', async (t) => {
  const { neighbours, broadcast, ended } = await startPush(t)
  const { sizes } = neighbours
  fill(neighbours.fans, 1000)
  await ended(await broadcast())
  t.equal(sizes[0], 50)
  t.equal(Math.max(...sizes), 200)
  neighbours.before = async () => {
    if (sizes.length <= 2) await new Promise((resolve) => setTimeout(resolve, 1600))
  }
  sizes.length = 0
  await ended(await broadcast())
  t.strictSame(sizes.slice(1, 3), [sizes[0]! / 2, sizes[0]! / 4])
})

test('fans who leave get nothing, and those who are not reached yet do', async (t) => {
  const { neighbours, broadcast, ended } = await startPush(t, { pace: 1000 })
  fill(neighbours.fans, 600)
  const left = [10_000_010, 10_000_590]
  let calls = 0
  neighbours.after = async () => {
    if (calls++ === 0) for (const userId of left) neighbours.fans.delete(userId)
  }
  const { done } = await ended(await broadcast())
  const got = new Set(neighbours.sent.map(({ userId }) => userId))
  t.strictSame([got.has(left[0]!), got.has(left[1]!), done], [true, false, 599])
})

test('while a service is away a broadcast waits; whom it cannot be sent to is given up after some tries, and nobody else', async (t) => {
  const { neighbours, broadcast, ended } = await startPush(t)
  fill(neighbours.fans, 300)
  const failures: number[] = []
  neighbours.before = async () => {
    if (failures.length < 4 && failures.push(performance.now())) away()
  }
  t.match(await ended(await broadcast('waits')), { done: 300, failed: 0 })
  t.ok(failures[3]! - failures[2]! > 900, 'each wait is twice as long')
  let isAway = true
  let isWrong = true
  neighbours.before = async (userIds) => {
    if (userIds.includes(10_000_001)) throw new Error('poison')
    // A part after that one fails once: its tries are counted anew.
    if (userIds.includes(10_000_300) && isWrong) {
      isWrong = false
      throw new Error('once')
    }
    // Sent to alone, because of the other one.
    if (userIds.length === 1 && isAway) {
      isAway = false
      away()
    }
  }
  t.match(await ended(await broadcast('poison'), 60_000), { state: 'done', done: 299, failed: 1 })
  t.notOk(isAway, 'who cannot be reached now is no fault')
})

test('a part is noted before the next one is asked for, and who finds no end of another part ends nothing', async (t) => {
  const { neighbours, broadcast, ended, deps, get } = await startPush(t)
  const { repository } = deps.broadcasts
  const advance = repository.advance.bind(repository)
  repository.advance = async (...given) => {
    await new Promise((resolve) => setTimeout(resolve, 200))
    await advance(...given)
  }
  fill(neighbours.fans, 120)
  neighbours.after = async () => {
    const [running] = await repository.running()
    if (running?.after) await repository.end({ ...running, after: 0 }, 'done', Date.now())
  }
  const id = await broadcast()
  t.match(await ended(id), { state: 'done', done: 120 })
  t.equal(neighbours.sent.length, 120)
  t.equal(neighbours.again, 0)
  t.equal((await get(id))?.after, 10_000_120)
})

test('a replica that goes on after another died sends nothing twice and leaves nobody out', async (t) => {
  const first = await startPush(t, { pace: 2000 })
  const { neighbours, env, ended, broadcast } = first
  fill(neighbours.fans, 3000)
  let parts = 0
  const stuck = new Promise<void>((resolve) => {
    neighbours.after = async () => {
      if (++parts !== 4) return
      resolve()
      // The first replica dies with this part sent and not noted.
      await first.deps.db.collection('leases').updateOne({ _id: 'broadcasts' as never }, { $set: { owner: 'dead' } })
      await new Promise((wait) => setTimeout(wait, 500))
    }
  })
  const id = await broadcast()
  await stuck
  const second = await service.start({ ...env, PORT: '0' })
  t.after(() => second.close())
  t.match(await ended(id, 30_000), { state: 'done', done: 3000, failed: 0 })
  t.equal(neighbours.sent.length, 3000)
  t.strictSame(new Set(neighbours.sent.map(({ userId }) => userId)), neighbours.fans)
})

test('the console sends to all users in the name of system and public accounts only', async (t) => {
  const { api, neighbours, ended, deps } = await startPush(t)
  fill(neighbours.users, 40)
  const staff = (role: number) => ({ userId: 7, sessionId: 's', device: 'web', kind: 'console', role }) as const
  const push = (params: object, role = 5) => api.call(consoleBroadcasts.pushToAll, params, { as: staff(role) })
  t.strictSame(await push({ fromUserId: news, body: 'to all' }), { count: 40 })
  const list = async () => (await api.call(consoleBroadcasts.listBroadcasts, {}, { as: staff(5) })).pageData
  const [made] = await list()
  await ended(made!.id)
  t.match(neighbours.sent, Array(40).fill({ type: 1, content: 'to all' }))
  const article = { type: 80, content: { title: '<b>', url: 'https://x.test' }, deleteTime: 5 }
  await push({ fromUserId: 10005, body: JSON.stringify(article) })
  await eventually(() => neighbours.sent.length === 80)
  t.match(neighbours.sent.at(-1), { type: 80, content: JSON.stringify(article.content) })
  await push({ fromUserId: 10000, body: '[1]' })
  await eventually(() => neighbours.sent.at(-1)?.content === '[1]')
  const others = [2, 3, 6, 9, 81]
  for (const type of others) await push({ fromUserId: news, body: JSON.stringify({ type, content: 'x' }) })
  await eventually(() => others.every((type) => neighbours.sent.some((one) => one.type === type)))
  for (const body of [
    '{"type":201,"content":"x"}',
    '{"type":4,"content":"x"}',
    '{"type":10,"content":"x"}',
    '{"type":82,"content":"x"}',
    '{"content":"x"}',
    '{"type":1}',
    '{"type":1,"content":" "}',
    '{"type":"1","content":"x"}',
    `{"type":1,"content":[${'1e20,'.repeat(5000)}1]}`,
    '{"type":1,"content":"a\\u0000b"}',
    '{"type":1,"content":null}',
  ])
    await t.rejects(push({ fromUserId: news, body }), failure('InvalidParams'), body.slice(0, 50))
  for (const more of ['"__proto__":{"a":1}', '"$set":1', '"a.b":1', '"a":{"b":1}'])
    await t.rejects(
      push({ fromUserId: news, body: `{"type":1,"content":"x",${more}}` }),
      failure('InvalidParams'),
      more,
    )
  const account = { userId: news, sessionId: 's', device: 'mp', kind: 'mp' } as const
  t.match(await api.call(accountBroadcasts.listAccountBroadcasts, {}, { as: account }), { total: 0 }, 'not its own')
  await t.rejects(
    api.call(withOp(accountBroadcasts.changeAccountBroadcast, 'cancel'), { id: made!.id }, { as: account }),
    failure('BroadcastNotFound'),
  )
  for (const fromUserId of [10_000_001, 404])
    await t.rejects(push({ fromUserId, body: 'x' }), failure('PermissionDenied'))
  await t.rejects(push({ fromUserId: news, body: 'x' }, 4), failure('PermissionDenied'))
  await t.rejects(push({ fromUserId: news }), failure('MissingParam'))
  await t.rejects(api.call(consoleBroadcasts.pushToAll, {}, { as: 7 }), failure('PermissionDenied'))
  const audit = await deps.db.collection('audit').find({ outcome: 'Success' }).toArray()
  t.match(audit[0], { userId: 7, call: 'POST /console/pushToAll', notes: { count: 40 } })
  t.match(await api.call(withOp(consoleBroadcasts.changeBroadcast, 'cancel'), { id: made!.id }, { as: staff(5) }), {
    state: 'done',
  })
})
