/** MongoDB holds everything: what is said in docs/operations.md of a fleet that has lost the rest, and of one that is restored. */
import { archive, search } from '@im/contracts/message'
import { companies } from '@im/contracts/org'
import { roomMembers, rooms } from '@im/contracts/room'
import { blacklists, follows, friends } from '@im/contracts/social'
import { profiles } from '@im/contracts/user'
import { eventually, failure } from '@im/service-kit/testing'
import { MongoClient } from 'mongodb'
import { type Test, test } from 'tap'
import { startJourney } from '../src/journey.ts'
import type { People, Person } from '../src/people.ts'
import type { TestStack } from '../src/stack.ts'

/** Services start again, and events are read from the beginning. */
const soon = 60_000
const timeout = 280_000
const lost = ['redis', 'nats', 'prosody'] as const

test('a fleet is what its database says', { timeout }, async (t) => {
  const { stack, people } = await startJourney(t, { killsStores: true })
  const story = await tellStory(people)
  t.ok(story.owed.length)

  await t.test(
    'Redis, NATS and XMPP server lose everything at once, beside services that run on',
    { timeout },
    async (t) => {
      await atRest(stack)
      await Promise.all(lost.map((name) => stack.kill(name)))
      await empty(stack)
      await Promise.all(lost.map((name) => stack.restart(name)))
      await isWhole(t, story)
    },
  )

  await t.test('the backup of an hour ago', { timeout }, async (t) => {
    story.owed = await oweCarol(story)
    const before = await friendsOf(story.alice)
    await atRest(stack)
    await end(stack)
    const restore = await stack.save('mongodb')
    await begin(stack)

    // The hour that is lost.
    const { alice, bob, carol } = story
    const dave = await eventually(() => people.register('dave'), soon)
    await alice.call(friends.addFriend, { toUserId: dave.userId })
    t.ok((await friendsOf(alice)).length > before.length)
    await alice.call(profiles.updateUser, { nickname: 'Alice of the lost hour' })
    const phone = await eventually(() => alice.phone('pc', { password: alice.password }), soon)
    await phone.say(bob.userId, 'of the lost hour')
    await phone.say(carol.userId, 'of the lost hour')
    await phone.hangUp()
    await atRest(stack)

    await end(stack)
    await restore()
    await empty(stack)
    await begin(stack)
    await isWhole(t, story)
    t.equal((await dave.ask(profiles.getUser)).resultCode, 1030102, 'sessions of the lost hour are gone')
    await t.rejects(alice.call(profiles.getUser, { userId: dave.userId }), failure('UserNotFound'))
    t.strictSame(await friendsOf(alice), before)
    const eve = await people.register('eve')
    t.equal(eve.userId, dave.userId, 'numbers go on where the backup ends')
    await carol.call(friends.addFriend, { toUserId: eve.userId })
    await eventually(async () => (await friendsOf(eve)).includes(carol.userId))
  })
})

interface Story {
  alice: Person
  bob: Person
  carol: Person
  roomId: string
  jid: string
  /** Ids of the chat of alice and bob, newest first. */
  chat: string[]
  /** What waits in carol's mailbox. */
  owed: string[]
}

/** Three people, what they are to each other, and what they wrote; carol is away for most of it. */
async function tellStory(people: People): Promise<Story> {
  const alice = await people.register('alice')
  const bob = await people.register('bob')
  const carol = await people.register('carol')
  await alice.call(friends.addFriend, { toUserId: bob.userId })
  await carol.call(follows.follow, { toUserId: alice.userId })
  await bob.call(blacklists.blockUser, { toUserId: carol.userId })
  const room = await alice.call(rooms.addRoom, {
    room: { name: '周末' },
    text: `[${bob.userId},${carol.userId}]`,
  } as never)
  await alice.call(companies.createCompany, { companyName: '盈创' })
  await bob.call(profiles.updateUser, { nickname: 'Robert' })

  const [a, b] = [await alice.phone(), await bob.phone()]
  const first = await a.say(bob.userId, '第一条')
  const second = await b.say(alice.userId, '第二条')
  await a.hears(({ id }) => id === second.messageId)
  await a.join(room.jid)
  await a.sayIn(room.jid, '群消息')
  for (const phone of [a, b]) await phone.hangUp()
  const chat = [second.messageId, first.messageId]
  return { alice, bob, carol, roomId: room.id, jid: room.jid, chat, owed: await oweCarol({ alice, carol }) }
}

async function oweCarol({ alice, carol }: Pick<Story, 'alice' | 'carol'>): Promise<string[]> {
  const phone = await eventually(() => alice.phone(), soon)
  const owed = [await phone.say(carol.userId, 'for carol'), await phone.say(carol.userId, 'for carol, too')]
  await phone.hangUp()
  return owed.map(({ messageId }) => messageId)
}

const friendsOf = async (person: Person) =>
  (await person.call(friends.listFriends, {})).map(({ toUserId }) => toUserId).sort()

/** Everybody is still logged in, and everything is there, also what services know of each other. */
async function isWhole(t: Test, { alice, bob, carol, roomId, jid, chat, owed }: Story): Promise<void> {
  await eventually(async () => (await alice.ask(profiles.getUser)).resultCode === 1, soon)
  for (const person of [alice, bob, carol]) t.equal((await person.ask(profiles.getUser)).resultCode, 1)

  const rows = await alice.call(archive.listSingleHistory, { receiver: bob.userId })
  const chats = rows.filter(({ body }) => JSON.parse(body).type === 1)
  t.strictSame(
    chats.map(({ messageId }) => messageId),
    chat,
  )
  t.equal((await alice.call(search.searchMessages, { keyword: '第一' })).total, 1)
  const history = await carol.call(archive.listRoomHistory, { roomId: jid })
  t.ok(history.some(({ body }) => body.includes('群消息')))
  t.match(await alice.call(companies.listOwnCompanies, {}), [{ companyName: '盈创' }])

  // What a service keeps of another's data.
  const known = async () => (await alice.call(roomMembers.listMembers, { roomId })).map(({ nickname }) => nickname)
  await eventually(async () => (await known()).includes('Robert'), soon)
  const ownFriends = await alice.call(friends.listFriends, {})
  t.ok(ownFriends.some(({ toUserId, toNickname }) => toUserId === bob.userId && toNickname === 'Robert'))

  const phone = await eventually(() => carol.phone(), soon)
  for (const id of owed) await phone.hears((message) => message.id === id, soon)
  await t.rejects(phone.say(bob.userId, 'to who has blocked her'), /refused/)
  await phone.hangUp()
}

/** Nothing is on its way: no stream is open, and no event waits to be published. */
async function atRest({ env }: TestStack): Promise<void> {
  const client = new MongoClient(env['MONGODB_URL'] ?? '')
  try {
    const { databases } = await client.db('admin').admin().listDatabases({ nameOnly: true })
    const own = databases.filter(({ name }) => name.startsWith(`${env['NAMESPACE'] || 'im'}_`))
    for (const { name } of own)
      await eventually(async () => (await client.db(name).collection('outbox').countDocuments()) === 0, soon)
  } finally {
    await client.close()
  }
}

/** Services first, as docs/operations.md says. */
async function end(stack: TestStack): Promise<void> {
  await Promise.all(stack.processes.map((name) => stack.stop(name)))
  await Promise.all([...lost, 'mongodb' as const].map((name) => stack.stop(name)))
}

async function begin(stack: TestStack): Promise<void> {
  await Promise.all([...lost, 'mongodb' as const].map((name) => stack.restart(name)))
  await Promise.all(stack.processes.map((name) => stack.restart(name)))
}

const empty = (stack: TestStack) => Promise.all(lost.map((name) => stack.empty(name)))
