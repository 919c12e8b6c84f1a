import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Ids, Int, LongText, Time, UserId } from '../param-types.ts'
import { Nothing } from '../result-types.ts'

const body = () => LongText({ trim: true, description: 'JSON of a message body, or a text (type 1)' })

/** Pushes by other servers and by the console's staff (spec 07-message.md). */
export const notifications = contract('push', {
  notify: {
    path: '/tigase/notify',
    summary: { zh: '推送一条离线通知', en: 'Push one notification to a user who is not there' },
    auth: { anyOf: ['user', { console: 5 }, 'internal'] },
    params: Type.Object({ from: UserId(), to: UserId(), body: body(), ts: Time({ default: 0 }) }),
    result: Nothing,
    errors: ['PermissionDenied', 'PushFailed', 'UserNotFound'],
    limits: [{ by: 'user', max: 60, seconds: 60 }],
  },
  notifyByBaidu: {
    path: '/tigase/baiduPush',
    summary: { zh: '百度推送', en: 'The same through Baidu alone' },
    auth: { anyOf: ['user', { console: 5 }, 'internal'] },
    params: Type.Object({
      from: UserId(),
      to: UserId(),
      type: Int({ default: 1, minimum: 0, maximum: 2 ** 31 - 1, description: 'type code' }),
      content: LongText({ default: '' }),
    }),
    result: Nothing,
    errors: ['PermissionDenied', 'PushFailed', 'UserNotFound', 'FeatureDisabled'],
    limits: [{ by: 'user', max: 60, seconds: 60 }],
  },
  sendNotice: {
    path: '/tigase/push',
    summary: { zh: '以系统通知号发送消息', en: 'Send a message from 10005 to users' },
    auth: { anyOf: [{ console: 5 }, 'internal'] },
    timeoutMs: 30_000,
    params: Type.Object({ text: Ids({ description: 'the receivers' }), body: body() }),
    result: Nothing,
  },
})
