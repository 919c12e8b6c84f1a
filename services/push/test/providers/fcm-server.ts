import { generateKeyPairSync } from 'node:crypto'
import { jwtVerify } from 'jose'
import type { Test } from 'tap'
import {
  demand,
  GivenTokens,
  startVendorServer,
  type Vendor,
  type VendorAnswer,
  type VendorCall,
  vendorParts,
} from './vendor.ts'

const fcmError = 'type.googleapis.com/google.firebase.fcm.v1.FcmError'

const errorAnswer = (status: number, code: string, details: object[] = [], headers = {}): VendorAnswer => ({
  status,
  headers,
  body: { error: { code: status, message: code, status: code, details } },
})

const badRequest = (field: string) =>
  errorAnswer(400, 'INVALID_ARGUMENT', [
    { '@type': fcmError, errorCode: 'INVALID_ARGUMENT' },
    { '@type': 'type.googleapis.com/google.rpc.BadRequest', fieldViolations: [{ field, description: 'wrong' }] },
  ])

const coded = (status: number, code: string, headers = {}) =>
  errorAnswer(status, code, [{ '@type': fcmError, errorCode: code }], headers)

/** What it answers for a token that is scripted. */
const scripted: Record<string, VendorAnswer> = {
  UNREGISTERED: coded(404, 'UNREGISTERED'),
  SENDER_ID_MISMATCH: coded(403, 'SENDER_ID_MISMATCH'),
  INVALID_ARGUMENT: coded(400, 'INVALID_ARGUMENT'),
  fieldViolation: badRequest('message.data'),
  QUOTA_EXCEEDED: coded(429, 'QUOTA_EXCEEDED', { 'retry-after': '1' }),
  UNAVAILABLE: coded(503, 'UNAVAILABLE', { 'retry-after': '1' }),
  INTERNAL: coded(500, 'INTERNAL'),
  THIRD_PARTY_AUTH_ERROR: coded(401, 'THIRD_PARTY_AUTH_ERROR'),
  PERMISSION_DENIED: errorAnswer(403, 'PERMISSION_DENIED'),
  UNSPECIFIED_ERROR: coded(400, 'UNSPECIFIED_ERROR'),
}

/** FCM and Google's token endpoint: signature, audience, scope and times of the assertion; tokens; names and sizes of a message. */
export async function startFcm(t: Test): Promise<Vendor> {
  const keys = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const parts = vendorParts()
  const given = new GivenTokens()
  const project = 'our-project'
  const email = 'push@our-project.iam.gserviceaccount.com'
  const privateKey = (pair: typeof keys) => String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))

  async function grant(call: VendorCall): Promise<VendorAnswer> {
    const { grant_type, assertion = '' } = call.form()
    const refused = (error: string) => ({ status: 400, body: { error } })
    demand(
      grant_type === 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      'grant_type',
      refused('unsupported_grant_type'),
    )
    const claims = await jwtVerify(assertion, keys.publicKey, {
      algorithms: ['RS256'],
      issuer: email,
      audience: `${url}/token`,
    }).catch((error: unknown) => demand(false, `assertion: ${error}`, refused('invalid_grant')))
    const { iat = 0, exp = 0, scope } = (claims as Awaited<ReturnType<typeof jwtVerify>>).payload
    demand(exp - iat <= 3600 && Math.abs(Date.now() / 1000 - iat) < 300, 'times', refused('invalid_grant'))
    demand(scope === 'https://www.googleapis.com/auth/firebase.messaging', 'scope', refused('invalid_scope'))
    return { body: { access_token: given.give(), expires_in: 3599, token_type: 'Bearer' } }
  }

  function send(call: VendorCall): VendorAnswer {
    demand(call.method === 'POST', 'method', { status: 404 })
    demand(call.path === `/v1/projects/${project}/messages:send`, 'path', { status: 404 })
    const bearer = call.headers.authorization?.replace(/^Bearer /, '')
    if (!given.has(bearer)) return errorAnswer(401, 'UNAUTHENTICATED')
    const { message } = call.json() as { message: Record<string, unknown> }
    const { token, notification, data, android } = message as {
      token: string
      notification: { title: string; body: string }
      data: Record<string, string>
      android: { ttl: string; priority: string; notification: { tag: string; notification_count?: number } }
    }
    demand(typeof token === 'string' && notification, 'token', badRequest('message.token'))
    for (const [name, value] of Object.entries(data)) {
      demand(typeof value === 'string', `data ${name}`, badRequest('message.data'))
      demand(!/^(from$|gcm|google)/.test(name), `data ${name}`, badRequest('message.data'))
    }
    demand(/^\d+(\.\d+)?s$/.test(android.ttl), 'ttl', badRequest('message.android.ttl'))
    demand(android.priority === 'HIGH', 'priority', badRequest('message.android.priority'))
    demand(Buffer.byteLength(JSON.stringify(message)) <= 4096, 'size', badRequest('message'))
    const script = parts.answers.get(token)
    if (script) return scripted[script] as VendorAnswer
    parts.shown.push({ token, ...notification, badge: android.notification.notification_count, data, more: android })
    return { body: { name: `projects/${project}/messages/${parts.shown.length}` } }
  }

  const url = await startVendorServer(t, parts, {
    isSend: (path) => path !== '/token',
    answer: (call) => (call.path === '/token' ? grant(call) : send(call)),
  })
  const account = (pair: typeof keys) =>
    JSON.stringify({
      type: 'service_account',
      project_id: project,
      client_email: email,
      private_key: privateKey(pair),
      token_uri: `${url}/token`,
    })
  return {
    ...parts,
    provider: 'fcm',
    device: 'android',
    env: { PUSH_FCM_SERVICE_ACCOUNT: account(keys), PUSH_FCM_URL: url },
    wrongEnv: { PUSH_FCM_SERVICE_ACCOUNT: account(other), PUSH_FCM_URL: url },
    token: (number) => `fcm:APA91b-${number}`,
    deadCode: 'UNREGISTERED',
    expireAccess: () => given.expire(),
  }
}
