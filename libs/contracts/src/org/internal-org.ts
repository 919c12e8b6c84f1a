import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { List, Text, UserId } from '../param-types.ts'
import { UnixSeconds } from '../result-types.ts'

/** Asked by other services. */
export const internalOrg = contract('org', {
  findColleagues: {
    path: '/internal/org/colleagues',
    summary: { zh: '哪些用户是同事', en: 'Which pairs of users work for the same company' },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      pairs: List({
        item: Text({ maxLength: 32, pattern: '^[1-9][0-9]{0,9}:[1-9][0-9]{0,9}$' }),
        maxItems: 500,
        description: 'both userIds, in any order',
      }),
    }),
    result: Type.Object({
      colleagues: Type.Array(Type.String(), { description: 'those of the pairs, as they were sent' }),
    }),
  },
  listCompaniesOf: {
    path: '/internal/org/companies-of',
    summary: { zh: '用户所在的公司', en: 'The companies of users' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ userIds: List({ item: UserId(), maxItems: 500 }) }),
    result: Type.Object({
      employments: Type.Array(
        Type.Object({
          userId: Type.Integer(),
          companyId: Type.String(),
          companyNo: Type.Integer(),
          companyName: Type.String(),
          notice: Type.String(),
          createTime: UnixSeconds({ description: 'of the company' }),
          joinedAt: UnixSeconds(),
        }),
        { description: 'by user, the company they joined first first' },
      ),
    }),
  },
})
