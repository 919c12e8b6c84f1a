import { type TProperties, Type } from 'typebox'
import { contract } from '../contract.ts'
import { Flag, Ignored, Int, Text } from '../param-types.ts'
import { Nothing } from '../result-types.ts'

/** What a push provider calls a device. Apps send an empty one when their provider gave them none: nothing happens then. */
const token = () => Text({ maxLength: 4096, pattern: '^[^\\u0000-\\u001f\\u007f]*$', trim: true, empty: 'kept' })
/** The same where calls to the provider hold tokens between commas: one with a comma would be several. */
const listedToken = () => Text({ maxLength: 4096, pattern: '^[^\\u0000-\\u001f\\u007f,]*$', trim: true, empty: 'kept' })
const app = () => Type.Optional(Text({ maxLength: 128, description: 'package or bundle id' }))

const registration = <const Params extends TProperties>(path: string, provider: string, params: Params) => ({
  path,
  summary: { zh: `注册${provider}推送`, en: `Register a device for ${provider} push` },
  auth: 'user' as const,
  params: Type.Object(params),
  result: Nothing,
})

/**
 * Devices that are woken by a push provider (spec 02-user.md). A token belongs to one user, the last who registered it, and
 * takes the place of the tokens that the user's devices of its class had; the one for calls stands beside.
 */
export const pushTokens = contract('push', {
  registerBaidu: registration('/user/channelId/set', '百度', {
    channelId: Type.Optional(token()),
    device: Type.Optional(Int({ description: '3 iOS, 4 Android; goes before deviceId' })),
    deviceId: Type.Optional(Text({ maxLength: 64, description: '2 iOS, all others Android' })),
    appId: app(),
  }),
  registerXiaomi: registration('/user/xmpush/setRegId', '小米', { regId: listedToken(), deviceId: Ignored() }),
  registerHuawei: registration('/user/hwpush/setToken', '华为', {
    token: token(),
    adress: Ignored(),
    deviceId: Ignored(),
  }),
  registerJPushAndroid: registration('/user/jPush/setRegId', '极光', { regId: token(), deviceId: Ignored() }),
  registerJPushIos: registration('/user/jPush/setJPushIOSRegId', '极光 iOS ', {
    regId: token(),
    deviceId: Ignored(),
    appId: app(),
  }),
  registerMeizu: registration('/user/MZPush/setPushId', '魅族', { pushId: listedToken(), deviceId: Ignored() }),
  registerOppo: registration('/user/OPPOPush/setPushId', 'OPPO ', { pushId: token(), deviceId: Ignored() }),
  registerVivo: registration('/user/VIVOPush/setPushId', 'vivo ', { pushId: token(), deviceId: Ignored() }),
  registerFcm: registration('/user/fcmPush/setToken', 'FCM ', { token: token() }),
  registerApns: registration('/user/apns/setToken', 'APNs ', {
    token: token(),
    deviceId: Ignored(),
    isVoip: Flag({ default: 1, description: '1: for calls' }),
    appId: app(),
  }),
  registerHonor: registration('/user/honorPush/setToken', '荣耀', { token: token(), deviceId: Ignored() }),
  registerWebPush: {
    path: '/user/webPush/setSubscription',
    summary: { zh: '注册 Web Push', en: 'Register a browser or a UnifiedPush app for Web Push (RFC 8030)' },
    auth: 'user',
    params: Type.Object({
      endpoint: Text({ maxLength: 2048, trim: true, empty: 'kept', description: 'https address of the push service' }),
      p256dh: Type.Optional(Text({ maxLength: 128, description: 'public key of the subscription, base64url' })),
      auth: Type.Optional(Text({ maxLength: 64, description: 'secret of the subscription, base64url' })),
      deviceId: Type.Optional(Text({ maxLength: 64, description: 'android: a UnifiedPush app; all others a browser' })),
    }),
    result: Nothing,
    errors: ['FeatureDisabled'],
  },
  getWebPushKey: {
    path: '/user/webPush/getKey',
    summary: { zh: '获取 Web Push 公钥', en: 'The public key that a browser subscribes with (VAPID, RFC 8292)' },
    auth: 'user',
    safe: true,
    params: Type.Object({}),
    result: Type.Object({ publicKey: Type.String({ description: 'base64url' }) }),
    errors: ['FeatureDisabled'],
  },
})
