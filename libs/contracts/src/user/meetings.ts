import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Ignored, UserId } from '../param-types.ts'

export const meetings = contract('user', {
  openMeeting: {
    path: '/user/openMeet',
    summary: { zh: '获取音视频会议地址', en: 'Where calls and meetings are held' },
    auth: 'user',
    safe: true,
    params: Type.Object({ toUserId: Type.Optional(UserId()), area: Ignored() }),
    result: Type.Object({ meetUrl: Type.String() }),
    errors: ['FeatureDisabled'],
  },
})
