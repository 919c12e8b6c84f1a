import type { ResultOf } from '@im/contracts'
import { internalOrg } from '@im/contracts/org'
import type { Company } from '@im/contracts/user'
import { beforeDeadline, GatheredQuestions, type ServiceClient } from '@im/service-kit'
import type { Static } from 'typebox'
import type { Deps } from '../deps.ts'

export type Employment = ResultOf<(typeof internalOrg)['listCompaniesOf']>['employments'][number]

/** How long (ms) companies are waited for, and the least time between two calls that ask for them. */
const answerWithin = 1000
const askedEvery = 30

/**
 * The companies of these users, each user's first one first. Undefined while the org service does not answer: nobody is kept from a
 * profile because they can't be told now.
 */
export async function employmentsOf(
  { employments, log }: Pick<Deps, 'employments' | 'log'>,
  userIds: readonly number[],
): Promise<Employment[] | undefined> {
  try {
    const found = Promise.all([...new Set(userIds)].map((userId) => employments.ask(userId)))
    return (await beforeDeadline(answerWithin, late, found)).flatMap((ofUser) => ofUser ?? [])
  } catch (error) {
    // No warning, because it happens at many logins while the org service is away.
    log.debug({ err: error }, 'the org service did not tell the companies of users')
    return undefined
  }
}

const late = () => new Error(`no answer in ${answerWithin} ms`)

/** Asks for the companies of all whom somebody wants to know of at about the same time together. */
export const gatherEmployments = (org: ServiceClient) =>
  new GatheredQuestions<number, readonly Employment[]>(
    async (userIds) => {
      const waiting = { deadline: Date.now() + answerWithin }
      const { employments } = await org.call(internalOrg.listCompaniesOf, { userIds: [...new Set(userIds)] }, waiting)
      const byUser = Map.groupBy(employments, ({ userId }) => userId)
      return userIds.map((userId) => byUser.get(userId))
    },
    { every: askedEvery },
  )

/** The running number of the user's company, 0 without one. */
export const companyNumber = (employments: readonly Employment[], userId: number): number =>
  employments.find((employment) => employment.userId === userId)?.companyNo ?? 0

/** The company of a user as themselves and their colleagues see it. */
export function companySeen(
  employments: readonly Employment[],
  userId: number,
  viewerId: number,
): Static<typeof Company> | undefined {
  const own = employments.find((employment) => employment.userId === userId)
  const isColleague = employments.some(
    (employment) => employment.userId === viewerId && employment.companyId === own?.companyId,
  )
  if (!own || !isColleague) return undefined
  const { companyNo: id, companyName: name, notice: description, createTime } = own
  return { id, name, description, createTime, ...unused, website: '' }
}

/** Fields that apps read and nobody sets. */
const unused = {
  areaId: 0,
  browseCount: 0,
  cityId: 0,
  countryId: 0,
  fansCount: 0,
  industryId: 0,
  isAuth: 0,
  natureId: 0,
  provinceId: 0,
  scale: 0,
  sponsorMoney: 0,
}
