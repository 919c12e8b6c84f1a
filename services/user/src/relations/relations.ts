import type { Call, ResultOf } from '@im/contracts'
import { internalRelations } from '@im/contracts/social'
import { beforeDeadline, GatheredQuestions, type ServiceClient } from '@im/service-kit'
import type { Deps } from '../deps.ts'

type Relations = ResultOf<(typeof internalRelations)['getRelations']>

/** What another user and the viewer are to each other. */
export interface Relation {
  isSelf: boolean
  /** The viewer's row about the user. */
  friends?: Relations['relations'][number]['friends']
  /** The user blocked the viewer. */
  isBlocked: boolean
  /** The viewer's number is in the user's address book. */
  isContact: boolean
}

export type Counts = Omit<ResultOf<(typeof internalRelations)['countRelations']>['counts'][number], 'userId'>

export const toSelf: Relation = { isSelf: true, isBlocked: false, isContact: false }
export const toStranger: Relation = { isSelf: false, isBlocked: false, isContact: false }
/** How long (ms) counts are waited for, and the least time between two calls that ask for them. */
const answerWithin = 1000
const askedEvery = 30
export const noCounts: Counts = { attCount: 0, fansCount: 0, friendsCount: 0 }

type Waiting = Pick<Call, 'deadline' | 'signal'>

/** Asks the social service what the viewer and these users are to each other: one call for all. */
export async function relationsTo(
  { social }: Pick<Deps, 'social'>,
  viewerId: number,
  userIds: readonly number[],
  waiting?: Waiting,
): Promise<Map<number, Relation>> {
  const others = userIds.filter((userId) => userId !== viewerId)
  const relations = new Map([[viewerId, toSelf]])
  if (!others.length) return relations
  const asked = { viewerId, userIds: others }
  for (const { userId, friends, blockedBy, contact } of (
    await social.call(internalRelations.getRelations, asked, waiting)
  ).relations)
    relations.set(userId, { isSelf: false, friends, isBlocked: blockedBy === 1, isContact: contact === 1 })
  return relations
}

/**
 * How many friends and followers a user has. Undefined while the social service does not answer: nobody is kept from their own account
 * because this can't be told now.
 */
export async function countsOf(
  { relationCounts, log }: Pick<Deps, 'relationCounts' | 'log'>,
  userId: number,
): Promise<Counts | undefined> {
  try {
    return (await beforeDeadline(answerWithin, late, relationCounts.ask(userId))) ?? noCounts
  } catch (error) {
    // No warning, because it happens at many logins while the social service is away.
    log.debug({ err: error, userId }, 'the social service did not tell the counts of a user')
    return undefined
  }
}

const late = () => new Error(`no answer in ${answerWithin} ms`)

/** Asks for the counts of all who log in at about the same time together. */
export const gatherCounts = (social: ServiceClient) =>
  new GatheredQuestions<number, Counts>(
    async (userIds) => {
      const waiting = { deadline: Date.now() + answerWithin }
      const { counts } = await social.call(
        internalRelations.countRelations,
        { userIds: [...new Set(userIds)] },
        waiting,
      )
      const byUser = new Map(counts.map(({ userId, ...ofUser }) => [userId, ofUser]))
      return userIds.map((userId) => byUser.get(userId))
    },
    { every: askedEvery },
  )
