import { type Caller, ContractError, type Handlers } from '@im/contracts'
import { pushTokens } from '@im/contracts/push'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import type { ProviderName, PushDevice } from '../providers/provider.ts'
import { isAllowedHost } from '../providers/public-addresses.ts'
import { subscriptionToken } from '../providers/subscription.ts'

interface Registration {
  caller: Pick<Caller, 'userId' | 'device' | 'sessionId'>
  device: PushDevice
  provider: ProviderName
  token: string | undefined
  app?: string | undefined
}

async function register(
  { tokens, endedSessions, now }: Deps,
  { caller, token, app, ...device }: Registration,
): Promise<void> {
  if (!token) return
  const { userId, device: session, sessionId } = caller
  const registeredAt = new Date(now())
  await tokens.register({ userId, session, sessionId, ...device, token, ...(app && { app }), registeredAt })
  // The session was live when the call was let in. Whoever ends it after this look finds the token.
  if (await endedSessions.has(sessionId))
    await tokens.removeOfSessions(userId, { sessionIds: [sessionId], classes: [], until: 0 })
}

function demandKey({ config: { webPushPublicKey } }: Pick<Deps, 'config'>): string {
  if (!webPushPublicKey) throw new ContractError('FeatureDisabled')
  return webPushPublicKey
}

const baiduIos = { device: 3, deviceId: '2' }

const handlers: Handlers<typeof pushTokens, Deps> = {
  registerBaidu: (deps, { caller, params: { channelId: token, device, deviceId, appId: app } }) => {
    const isIos = device === undefined ? deviceId === baiduIos.deviceId : device === baiduIos.device
    return register(deps, { caller, device: isIos ? 'ios' : 'android', provider: 'baidu', token, app })
  },
  registerXiaomi: (deps, { caller, params: { regId: token } }) =>
    register(deps, { caller, device: 'android', provider: 'xiaomi', token }),
  registerHuawei: (deps, { caller, params: { token } }) =>
    register(deps, { caller, device: 'android', provider: 'huawei', token }),
  registerJPushAndroid: (deps, { caller, params: { regId: token } }) =>
    register(deps, { caller, device: 'android', provider: 'jpush', token }),
  registerJPushIos: (deps, { caller, params: { regId: token, appId: app } }) =>
    register(deps, { caller, device: 'ios', provider: 'jpush', token, app }),
  registerMeizu: (deps, { caller, params: { pushId: token } }) =>
    register(deps, { caller, device: 'android', provider: 'meizu', token }),
  registerOppo: (deps, { caller, params: { pushId: token } }) =>
    register(deps, { caller, device: 'android', provider: 'oppo', token }),
  registerVivo: (deps, { caller, params: { pushId: token } }) =>
    register(deps, { caller, device: 'android', provider: 'vivo', token }),
  registerFcm: (deps, { caller, params: { token } }) =>
    register(deps, { caller, device: 'android', provider: 'fcm', token }),
  registerApns: (deps, { caller, params: { token, isVoip, appId: app } }) =>
    register(deps, { caller, device: 'ios', provider: isVoip ? 'apns_voip' : 'apns', token, app }),
  registerHonor: (deps, { caller, params: { token } }) =>
    register(deps, { caller, device: 'android', provider: 'honor', token }),
  registerWebPush(deps, { caller, params: { endpoint, p256dh = '', auth = '', deviceId } }) {
    demandKey(deps)
    const token = endpoint && subscriptionToken({ endpoint, p256dh, auth })
    // Nothing is ever sent there, so it takes no other token's place. Names are judged when they are looked up.
    if (token && !deps.config.webPushAllowPrivate && !isAllowedHost(new URL(endpoint).hostname))
      throw new ContractError('InvalidParams', { detail: 'endpoint: a private address' })
    return register(deps, { caller, device: deviceId === 'android' ? 'android' : 'web', provider: 'webpush', token })
  },
  getWebPushKey: (deps) => ({ publicKey: demandKey(deps) }),
}

export const tokenRoutes = bindHandlers(pushTokens, handlers)
