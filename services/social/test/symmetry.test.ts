import { ContractError, type ErrorName } from '@im/contracts'
import {
  blacklistChanged,
  blacklists,
  follows,
  friendChanged,
  friendRowChanged,
  friends,
  pairOf,
} from '@im/contracts/social'
import { on } from '@im/service-kit'
import { eventually, observeEvents, startService, type TestClient } from '@im/service-kit/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { service } from '../src/service.ts'
import { startSocial } from './start-social.ts'

const actions = ['follow', 'accept', 'unfollow', 'delete', 'block', 'unblock', 'remark', 'mute'] as const
type Action = (typeof actions)[number]
/** What a state refuses, whichever came first. */
const refusals: ReadonlySet<ErrorName> = new Set<ErrorName>([
  ...(['BlacklistedByTarget', 'NoFriendRequest', 'NotFriends', 'AlreadyOnBlacklist', 'NotOnBlacklist'] as const),
])

/** What both do at the same moment, round by round. */
const rounds = fc.array(
  fc.array(fc.record({ who: fc.constantFrom(0, 1), what: fc.constantFrom(...actions), where: fc.constantFrom(0, 1) }), {
    minLength: 1,
    maxLength: 6,
  }),
  { minLength: 1, maxLength: 8 },
)

test('whatever both sides do at the same moment, by whichever replica: rows are symmetric, and each change is told once', async (t) => {
  const { api: first, deps, env, person } = await startSocial(t)
  const { api: second } = await startService(t, service, { env })
  const replicas = [first, second] as const
  const told: { pair: string; name: string; data: Record<string, unknown> }[] = []
  const tell = (name: string) => async (data: { userId: number; toUserId: number }) =>
    told.push({ pair: pairOf(data.userId, data.toUserId), name, data })
  await observeEvents(t, env, [
    on(friendChanged, tell('friend')),
    on(blacklistChanged, tell('blacklist')),
    on(friendRowChanged, tell('row')),
  ])
  const alice = await person('alice')
  const rows = deps.db.collection('relations')
  let checked = 0

  async function act(userId: number, toUserId: number, what: Action, api: TestClient): Promise<void> {
    const as = { as: userId }
    try {
      if (what === 'follow') await api.call(follows.follow, { toUserId }, as)
      if (what === 'accept') await api.call(friends.addFriend, { toUserId }, as)
      if (what === 'unfollow') await api.call(follows.unfollow, { toUserId }, as)
      if (what === 'delete') await api.call(friends.deleteFriend, { toUserId }, as)
      if (what === 'block') await api.call(blacklists.blockUser, { toUserId }, as)
      if (what === 'unblock') await api.call(blacklists.unblockUser, { toUserId }, as)
      if (what === 'remark') await api.call(friends.remarkFriend, { toUserId, remarkName: 'somebody' }, as)
      if (what === 'mute') await api.call(friends.switchForFriend, { toUserId, offlineNoPushMsg: 1 }, as)
    } catch (error) {
      if (!(error instanceof ContractError && refusals.has(error.errorName))) throw error
    }
  }

  await fc.assert(
    fc.asyncProperty(rounds, async (story) => {
      const bob = await person(`bob${checked}`)
      const pair = pairOf(alice, bob)
      const state = { friend: '0 0', blacklist: '00', notes: '' }
      for (const round of story) {
        await Promise.all(
          round.map(({ who, what, where }) =>
            who === 0 ? act(alice, bob, what, replicas[where]) : act(bob, alice, what, replicas[where]),
          ),
        )
        const [own, other] = await Promise.all([
          rows.findOne({ pair, userId: alice }),
          rows.findOne({ pair, userId: bob }),
        ])
        const statuses = [own?.['status'] ?? 0, other?.['status'] ?? 0]
        // Who follows a follower becomes a friend, so two who only follow each other have not seen each other.
        const symmetric = (statuses[0] === 2) === (statuses[1] === 2) && statuses.join() !== '1,1'
        const blocked = [own?.['blacklist'] ?? 0, other?.['blacklist'] ?? 0]
        const mirrors = (!own || own['isBeenBlack'] === blocked[1]) && (!other || other['isBeenBlack'] === blocked[0])
        if (!symmetric || !mirrors) throw new Error(`rows differ: ${JSON.stringify({ own, other })}`)
        state.friend = statuses.join(' ')
        state.blacklist = blocked.join('')
        state.notes = [own, other].map((row) => noteOf(row ?? {})).join()
      }
      // The last event of each kind says what the rows say, and every event is another state than the one before it.
      const of = (name: string) => told.filter((one) => one.pair === pair && one.name === name).map(({ data }) => data)
      await eventually(() => {
        const states = of('friend').map(({ userId, status, toStatus }) =>
          userId === alice ? `${status} ${toStatus}` : `${toStatus} ${status}`,
        )
        const blocks = { [alice]: '0', [bob]: '0' } as Record<number, string>
        for (const { userId, blocked } of of('blacklist')) {
          const bit = blocked ? '1' : '0'
          if (blocks[userId as number] === bit) throw new Error('the same block was told twice')
          blocks[userId as number] = bit
        }
        if (['0 0', ...states].some((one, n, all) => n > 0 && one === all[n - 1])) throw new Error('told twice')
        const notes = notesTold(told.filter((one) => one.pair === pair))
        return (
          (states.at(-1) ?? '0 0') === state.friend &&
          `${blocks[alice]}${blocks[bob]}` === state.blacklist &&
          [alice, bob].map((userId) => notes.get(userId) ?? noteOf({})).join() === state.notes
        )
      })
      checked++
    }),
    { numRuns: 25, endOnFailure: true },
  )
  t.ok(checked >= 25, `${checked} stories`)
})

/** What a row says of notifications. */
const noteOf = ({ remarkName = '', offlineNoPushMsg = 0 }: Record<string, unknown>) =>
  `${remarkName} ${offlineNoPushMsg}`

/** The same, as whoever keeps it by the events does: an end of a relation ends the row of who ended it, `deleted` both. */
function notesTold(told: readonly { name: string; data: Record<string, unknown> }[]): Map<number, string> {
  const notes = new Map<number, string>()
  for (const { name, data } of told) {
    const [userId, toUserId] = [Number(data['userId']), Number(data['toUserId'])]
    const { how } = data
    if (name === 'row') notes.set(userId, noteOf(data))
    if (name === 'friend' && (how === 'deleted' || how === 'unfollowed')) notes.delete(userId)
    if (name === 'friend' && how === 'deleted') notes.delete(toUserId)
  }
  return notes
}
