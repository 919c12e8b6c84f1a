import type { Handlers } from '@im/contracts'
import { internalRelations, replayedRelations } from '@im/contracts/social'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { pageRelations } from './page-relations.ts'
import type { Relation } from './pair.ts'
import { viewOf } from './show-rows.ts'

const publicAccount = 2

const sideOf = (row: Relation | undefined) => row && { status: row.status, hasBlocked: row.blacklist === 1 }

const handlers: Handlers<typeof internalRelations, Deps> = {
  async getRelations({ relations, books, names }, { params: { viewerId, userIds } }) {
    const [pairs, knowing, known] = await Promise.all([
      relations.pairs(viewerId, userIds),
      books.ownersAmong(userIds, viewerId),
      names.of(userIds),
    ])
    return {
      relations: userIds.map((userId) => {
        const { own, other } = pairs.get(userId)!
        return {
          userId,
          friends: own && viewOf({ row: own, name: known.get(userId) }),
          blockedBy: other?.blacklist ?? 0,
          contact: knowing.has(userId) ? 1 : 0,
        }
      }),
    }
  },

  countRelations: async ({ relations }, { params }) => ({ counts: await relations.countsOf(params.userIds) }),

  async getStandings({ relations }, { params: { pairs } }) {
    const rows = new Map((await relations.byPairs(pairs)).map((row) => [`${row.pair} ${row.userId}`, row]))
    return {
      standings: pairs.map((pair) => {
        const [low, high] = pair.split(':').map((userId) => sideOf(rows.get(`${pair} ${userId}`)))
        return { pair, low, high }
      }),
    }
  },

  async pageFans({ relations, people }, { params: { account, after, until, pageSize } }) {
    const known = (await people.find([account])).get(account)
    if (known && (known.gone || known.userType !== publicAccount)) return { userIds: [], isAccount: 0 }
    return { userIds: await relations.fanIds(account, { after, until, limit: pageSize }), isAccount: 1 }
  },

  async pageFriendIds({ relations }, { params: { userId, after = 0, pageSize } }) {
    return { userIds: await relations.friendIds(userId, after, pageSize) }
  },
}

const replayHandlers: Handlers<typeof replayedRelations, Deps> = {
  pageRelations: (deps, { params }) => pageRelations(deps, params),
}

export const internalRelationRoutes = [
  ...bindHandlers(internalRelations, handlers),
  ...bindHandlers(replayedRelations, replayHandlers),
]
