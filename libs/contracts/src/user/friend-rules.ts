import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { List, Text, UserId } from '../param-types.ts'
import { FlagResult, UnixSeconds } from '../result-types.ts'

/** What the social service asks before it makes a relation: the settings count as they are at that moment. */
export const friendRules = contract('user', {
  getFriendRules: {
    path: '/internal/users/friend-rules',
    summary: { zh: '用户的加好友规则', en: 'Who users are and how they may be befriended' },
    auth: 'internal',
    safe: true,
    params: Type.Object({ userIds: List({ item: UserId(), maxItems: 1001 }) }),
    result: Type.Object({
      users: Type.Array(
        Type.Object({
          userId: Type.Integer(),
          nickname: Type.String(),
          userType: Type.Integer(),
          telephone: Type.Optional(Type.Object({ areaCode: Type.String(), number: Type.String() })),
          allowAtt: FlagResult(),
          friendsVerify: FlagResult(),
          friendFromList: Type.String({ description: 'comma list of 1..5' }),
          chatRecordTimeOut: Type.Number({ description: 'days, -1 for ever' }),
        }),
        { description: 'those that exist' },
      ),
    }),
  },
  findByTelephones: {
    path: '/internal/users/by-telephones',
    summary: { zh: '按手机号查找用户', en: 'Who has these telephones and may be found by them' },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      telephones: List({
        item: Text({ pattern: '^[0-9]{1,3}:[0-9]{4,15}$', description: 'area code:number' }),
        maxItems: 5000,
        maxBytes: 1024 * 1024,
      }),
    }),
    result: Type.Object({
      users: Type.Array(
        Type.Object({
          telephone: Type.String({ description: 'as asked' }),
          userId: Type.Integer(),
          registeredAt: UnixSeconds(),
        }),
      ),
    }),
  },
})
