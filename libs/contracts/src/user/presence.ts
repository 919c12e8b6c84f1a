import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Flag, Int, PageIndex, PageSize, Self, Text } from '../param-types.ts'
import { Nothing, UnixSeconds } from '../result-types.ts'

const day = (aliases: readonly string[]) =>
  Type.Optional(
    Text({ trim: true, maxLength: 10, pattern: '^\\d{4}-\\d{2}-\\d{2}$', aliases, description: 'yyyy-MM-dd' }),
  )

export const userPresence = contract('user', {
  goOffline: {
    path: '/user/outtime',
    summary: { zh: '上报离线时间', en: 'Tell that the app goes offline' },
    auth: 'user',
    params: Type.Object({ userId: Self() }),
    result: Nothing,
  },
  listUserCounts: {
    path: '/user/getUserStatusCount',
    summary: { zh: '用户在线人数统计', en: 'How many users were online' },
    auth: { role: 4 },
    safe: true,
    params: Type.Object({
      sign: Type.Optional(Int({ description: '-3 last 30 days, -2 last 7 days, -1 last 48 hours, 0 today, 3 all' })),
      startData: day(['startDate']),
      endData: day(['endDate']),
      type: Flag({ default: 0, description: '1 online, 0 offline' }),
      pageIndex: PageIndex(),
      pageSize: PageSize(100),
    }),
    result: Type.Array(
      Type.Object({ id: Type.String(), count: Type.Integer(), time: UnixSeconds(), type: Type.Integer() }),
    ),
  },
})
