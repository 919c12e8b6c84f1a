import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Int, PageIndex, PageSize, RoomRef, Text, Time, UserId } from '../param-types.ts'
import { PageVO } from '../result-types.ts'
import { MessageRow, RoomRow } from './entities.ts'

const highlights = {
  highlights: Type.Array(Type.Tuple([Type.Integer(), Type.Integer()]), {
    description: '[start, end) in `content` as UTF-16 positions, in order',
  }),
}

/** Search in the caller's messages (spec 07-message.md, Search). */
export const search = contract('message', {
  searchMessages: {
    path: '/tigase/searchMsgs',
    summary: { zh: '搜索聊天记录', en: 'Search messages' },
    auth: 'user',
    safe: true,
    params: Type.Object({
      keyword: Text({
        trim: true,
        empty: 'kept',
        minLength: 1,
        maxLength: 64,
        description: 'every blank-separated word must occur',
      }),
      receiver: Type.Optional(UserId({ description: 'only the single chat with this user' })),
      roomId: Type.Optional(RoomRef({ description: 'only this room' })),
      fromUserId: Type.Optional(UserId({ description: 'only messages this user sent' })),
      contentType: Type.Optional(Int({ description: 'only messages of this type code' })),
      startTime: Time({ default: 0, fraction: true }),
      endTime: Time({ default: 0, fraction: true }),
      pageIndex: PageIndex(),
      pageSize: PageSize(20, 100),
    }),
    result: PageVO(
      Type.Union([
        Type.Object({ ...MessageRow.properties, ...highlights }),
        Type.Object({ ...RoomRow.properties, ...highlights }),
      ]),
    ),
    errors: ['SearchTooBroad'],
    limits: [{ by: 'user', max: 60, seconds: 60 }],
  },
})
