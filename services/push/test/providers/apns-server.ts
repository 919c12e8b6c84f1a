import { createPublicKey, generateKeyPairSync, type KeyObject, randomUUID, verify } from 'node:crypto'
import { createSecureServer, type Http2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import { type Certificate, makeCertificate } from './certificates.ts'
import { type Vendor, vendorParts } from './vendor.ts'

export const topic = 'im.example.app'
const [keyId, teamId] = ['ABCDEF1234', 'TEAM567890']

/** Status of the reasons that a test scripts for a token. */
const statusOf: Record<string, number> = {
  ...{ BadDeviceToken: 400, DeviceTokenNotForTopic: 400, TopicDisallowed: 400, BadTopic: 400, PayloadEmpty: 400 },
  ...{ ExpiredProviderToken: 403, InvalidProviderToken: 403, Forbidden: 403, BadPath: 404, MethodNotAllowed: 405 },
  ...{ Unregistered: 410, ExpiredToken: 410, PayloadTooLarge: 413, TooManyRequests: 429 },
  ...{ TooManyProviderTokenUpdates: 429, InternalServerError: 500, ServiceUnavailable: 503, Shutdown: 503 },
}

class Refused extends Error {
  readonly status: number

  constructor(status: number, reason: string) {
    super(reason)
    this.status = status
  }
}

function demand(condition: unknown, status: number, reason: string): asserts condition {
  if (!condition) throw new Refused(status, reason)
}

export interface ApnsServer extends Vendor {
  /** Ends all sessions as the real one does before maintenance; `mid`: while requests run, which are answered. */
  goAway(how?: 'clean' | 'refusing'): void
  destroySessions(): void
  /** Takes no connections, and drops those it has. */
  goDown(): Promise<void>
  /** Listens again at the same address. */
  comeBack(): Promise<void>
  sessions(): number
  /** Sessions that were opened since the beginning. */
  opened: { count: number }
  /** Milliseconds its clock is ahead. */
  clock: { ahead: number }
  /** `timestamp` of 410 answers. */
  gone: { since: number }
  /** Answers wait until this resolves. */
  gate: { open: Promise<unknown> }
  /** Signed tokens that were seen. */
  teamTokens: Set<string>
  /** Most requests that ran at once. */
  running: { now: number; most: number }
  url: string
  ca: string
}

/**
 * APNs: HTTP/2 over TLS only, signed tokens of the team (or client certificates), topics, push types, sizes; a session that gets a
 * second token within 20 minutes is refused.
 */
export async function startApns(
  t: Test,
  options: {
    isVoip?: boolean
    clientCertificate?: Certificate
    maxStreams?: number
    certificate?: Certificate
    keys?: { privateKey: KeyObject; publicKey: KeyObject }
  } = {},
): Promise<ApnsServer> {
  const { isVoip = false, clientCertificate, maxStreams } = options
  const keys = options.keys ?? generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const others = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = options.certificate ?? (await makeCertificate('apns'))
  const parts = vendorParts()
  const sessions = new Map<Http2Session, { token?: string; issuedAt?: number }>()
  const clock = { ahead: 0 }
  const gone = { since: 0 }
  const gate = { open: Promise.resolve() as Promise<unknown> }
  const opened = { count: 0 }
  const running = { now: 0, most: 0 }
  const teamTokens = new Set<string>()

  function verifyTeamToken(session: Http2Session, authorization: string | undefined): void {
    const [, token = ''] = /^bearer (\S+)$/.exec(authorization ?? '') ?? []
    demand(token, 403, 'MissingProviderToken')
    teamTokens.add(token)
    const [header = '', claims = '', signature = ''] = token.split('.')
    const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>
    const isSigned = verify(
      'sha256',
      Buffer.from(`${header}.${claims}`),
      { key: createPublicKey(keys.publicKey.export({ type: 'spki', format: 'pem' })), dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url'),
    )
    const { alg, kid } = read(header)
    const { iss, iat } = read(claims) as { iss: string; iat: number }
    demand(isSigned && alg === 'ES256' && kid === keyId && iss === teamId, 403, 'InvalidProviderToken')
    const age = (Date.now() + clock.ahead) / 1000 - iat
    demand(age < 3600 && age > -60, 403, 'ExpiredProviderToken')
    const known = sessions.get(session) ?? {}
    const isUpdate = known.token !== undefined && known.token !== token
    demand(!isUpdate || iat - (known.issuedAt ?? 0) > 1200, 429, 'TooManyProviderTokenUpdates')
    sessions.set(session, { token, issuedAt: iat })
  }

  function check(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, body: string): object {
    demand(headers[':method'] === 'POST', 405, 'MethodNotAllowed')
    const [, token] = /^\/3\/device\/([0-9a-f]{64,200})$/.exec(String(headers[':path'])) ?? []
    demand(token, 400, 'BadDeviceToken')
    if (clientCertificate) {
      demand(!headers.authorization, 403, 'Forbidden')
      const peer = (stream.session?.socket as TLSSocket | undefined)?.getPeerCertificate()
      demand(peer?.subject, 403, 'BadCertificate')
    } else verifyTeamToken(stream.session as Http2Session, headers.authorization)
    const type = headers['apns-push-type']
    demand(['alert', 'background', 'voip'].includes(String(type)), 400, 'InvalidPushType')
    demand(headers['apns-topic'] === (type === 'voip' ? `${topic}.voip` : topic), 400, 'BadTopic')
    demand(['5', '10'].includes(String(headers['apns-priority'])), 400, 'BadPriority')
    demand(/^\d+$/.test(String(headers['apns-expiration'])), 400, 'BadExpirationDate')
    demand(Buffer.byteLength(String(headers['apns-collapse-id'] ?? '')) <= 64, 400, 'BadCollapseId')
    demand(body, 400, 'PayloadEmpty')
    demand(Buffer.byteLength(body) <= (type === 'voip' ? 5120 : 4096), 413, 'PayloadTooLarge')
    const { aps, ...data } = JSON.parse(body) as { aps: { alert: { title: string; body: string }; badge?: number } }
    demand(aps?.alert, 400, 'PayloadEmpty')
    const script = parts.answers.get(token)
    if (script) throw new Refused(statusOf[script] ?? 400, script)
    parts.shown.push({
      token,
      ...aps.alert,
      badge: aps.badge,
      data: data as Record<string, string>,
      more: { aps, collapseId: headers['apns-collapse-id'], expiration: headers['apns-expiration'], type },
    })
    return {}
  }

  const server = createSecureServer({
    ...certificate,
    ...(clientCertificate ? { requestCert: true, rejectUnauthorized: false, ca: [clientCertificate.cert] } : {}),
    settings: maxStreams ? { maxConcurrentStreams: maxStreams } : {},
  })
  server.on('session', (session) => {
    opened.count++
    sessions.set(session, {})
    session.on('close', () => sessions.delete(session))
    session.on('error', () => {})
  })
  server.on('stream', async (stream, headers) => {
    parts.calls.send++
    running.most = Math.max(running.most, ++running.now)
    stream.on('close', () => running.now--)
    stream.on('error', () => {})
    let body = ''
    stream.setEncoding('utf8')
    for await (const part of stream) body += part
    const trouble = parts.troubles.shift()
    const reply = (status: number, text: string, more = {}) => {
      if (stream.destroyed) return
      stream.respond({ ':status': status, 'apns-id': randomUUID(), ...more })
      stream.end(text)
    }
    if (trouble === 'hangs') return
    if (trouble === 'cuts') return void stream.session?.destroy()
    if (trouble === 'html') return reply(502, '<html>Bad Gateway</html>')
    if (trouble === '500') return reply(500, '{"reason":"InternalServerError"}')
    if (trouble === '503') return reply(503, '{"reason":"ServiceUnavailable"}', { 'retry-after': '1' })
    if (trouble === '429') return reply(429, '{"reason":"TooManyProviderTokenUpdates"}', { 'retry-after': '1' })
    await gate.open
    try {
      check(stream, headers, body)
      reply(200, '')
    } catch (error) {
      const { status, message: reason } = error instanceof Refused ? error : new Refused(400, String(error))
      if (!(reason in statusOf) || !parts.answers.size) parts.problems.push(reason)
      const timestamp = status === 410 && gone.since ? { timestamp: gone.since } : {}
      const wait = status === 429 ? { 'retry-after': '1' } : {}
      reply(status, JSON.stringify({ reason, ...timestamp }), wait)
    }
  })
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  await listen(0)
  t.after(() => {
    server.close()
    for (const session of sessions.keys()) session.destroy()
  })
  const { port } = server.address() as AddressInfo
  const url = `https://127.0.0.1:${port}`
  const destroySessions = () => {
    for (const session of sessions.keys()) session.destroy()
  }
  const settings = (pair: typeof keys): Record<string, string> => ({
    PUSH_APNS_KEY: String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' })),
    PUSH_APNS_KEY_ID: keyId,
    PUSH_APNS_TEAM_ID: teamId,
    PUSH_APNS_TOPICS: topic,
    PUSH_APNS_URL: url,
    PUSH_CA: certificate.cert,
  })
  return {
    ...parts,
    provider: isVoip ? 'apns_voip' : 'apns',
    device: 'ios',
    env: settings(keys),
    wrongEnv: settings(others),
    token: (number) => number.toString(16).padStart(64, 'a'),
    deadCode: 'Unregistered',
    goAway(how = 'clean') {
      for (const session of sessions.keys()) {
        const reason = Buffer.from('{"reason":"Shutdown"}')
        // Requests behind the first of the session will not be answered.
        if (how === 'clean') session.goaway(0, undefined, reason)
        else session.goaway(0, 1, reason)
      }
    },
    destroySessions,
    async goDown() {
      const ended = new Promise((resolve) => server.close(resolve))
      destroySessions()
      await ended
    },
    comeBack: () => listen(port),
    sessions: () => sessions.size,
    opened,
    clock,
    gone,
    gate,
    teamTokens,
    running,
    url,
    ca: certificate.cert,
  }
}
