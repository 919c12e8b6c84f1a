import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Time } from '../param-types.ts'
import { UnixSeconds } from '../result-types.ts'

export const ownChanges = contract('user', {
  listOwnChanges: {
    path: '/user/offlineOperation',
    summary: { zh: '离线期间的数据变更', en: 'What changed in the own lists meanwhile' },
    auth: 'user',
    safe: true,
    params: Type.Object({ offlineTime: Time({ default: 0 }) }),
    result: Type.Array(
      Type.Object({
        tag: Type.Enum(['friend', 'room', 'label']),
        friendId: Type.String({ description: 'userId, room id, or nothing for labels' }),
        operationTime: UnixSeconds(),
        userId: Type.Integer(),
      }),
    ),
  },
})
