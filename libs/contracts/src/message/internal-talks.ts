import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { List, UserId } from '../param-types.ts'
import { UnixSeconds } from '../result-types.ts'

/** Asked by the social service, for lists of friends. */
export const talks = contract('message', {
  getTalks: {
    path: '/internal/messages/talks',
    summary: { zh: '与多人的未读数和最后沟通时间', en: 'Unread messages of a user by peer, and when they last talked' },
    auth: 'internal',
    safe: true,
    params: Type.Object({
      userId: UserId(),
      peers: Type.Optional(List({ item: UserId(), maxItems: 1000, description: 'absent: everybody' })),
    }),
    result: Type.Object({
      talks: Type.Array(
        Type.Object({
          peer: Type.Integer(),
          unread: Type.Integer({ description: 'messages of the peer after the last one that was read' }),
          lastTalkTime: UnixSeconds({ description: 'seconds, 0 never' }),
        }),
        { description: 'those with messages' },
      ),
    }),
  },
})
