import { createDecipheriv, createECDH, hkdfSync, randomBytes } from 'node:crypto'
import { importJWK, jwtVerify } from 'jose'
import type { Test } from 'tap'
import webPush from 'web-push'
import { subscriptionToken } from '../../src/providers/subscription.ts'
import { makeCertificate } from './certificates.ts'
import { demand, startVendorServer, type Vendor, type VendorCall, vendorParts } from './vendor.ts'

interface Browser {
  keys: ReturnType<typeof createECDH>
  auth: Buffer
  token: string
}

/** RFC 8291 from the side of the browser: one record of aes128gcm. */
export function decrypt(body: Buffer, privateKey: Buffer, auth: Buffer): string {
  const salt = body.subarray(0, 16)
  const keyLength = body[20] ?? 0
  const sender = body.subarray(21, 21 + keyLength)
  const own = createECDH('prime256v1')
  own.setPrivateKey(privateKey)
  const info = Buffer.concat([Buffer.from('WebPush: info\0'), own.getPublicKey(), sender])
  const secret = Buffer.from(hkdfSync('sha256', own.computeSecret(sender), auth, info, 32))
  const key = Buffer.from(hkdfSync('sha256', secret, salt, 'Content-Encoding: aes128gcm\0', 16))
  const nonce = Buffer.from(hkdfSync('sha256', secret, salt, 'Content-Encoding: nonce\0', 12))
  const sealed = body.subarray(21 + keyLength)
  const decipher = createDecipheriv('aes-128-gcm', key, nonce)
  decipher.setAuthTag(sealed.subarray(-16))
  const padded = Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()])
  return padded.subarray(0, padded.lastIndexOf(2)).toString('utf8')
}

const point = (key: Buffer) => ({
  kty: 'EC',
  crv: 'P-256',
  x: key.subarray(1, 33).toString('base64url'),
  y: key.subarray(33).toString('base64url'),
})

/** A push service for browsers: TLS, TTL, VAPID for its own origin, one encrypted record, topics. */
export async function startWebPush(t: Test): Promise<Vendor> {
  const parts = vendorParts()
  const certificate = await makeCertificate('push service')
  const vapid = webPush.generateVAPIDKeys()
  const browsers = new Map<string, Browser>()

  async function take(call: VendorCall): Promise<string> {
    const { headers, bytes } = call
    const browser = browsers.get(call.path)
    demand(browser, 'no such subscription', { status: 404 })
    demand(call.method === 'POST', 'method', { status: 405 })
    demand(/^\d+$/.test(String(headers['ttl'])), 'TTL', { status: 400 })
    demand(['very-low', 'low', 'normal', 'high'].includes(String(headers['urgency'])), 'Urgency', { status: 400 })
    demand(/^[\w-]{1,32}$/.test(String(headers['topic'])), 'Topic', { status: 400 })
    demand(headers['content-encoding'] === 'aes128gcm', 'Content-Encoding', { status: 400 })
    demand(bytes.length > 0 && bytes.length <= 4096, 'size', { status: 413 })
    const [, token = '', key = ''] = /^vapid t=([^,]+), ?k=(\S+)$/.exec(headers.authorization ?? '') ?? []
    demand(key === vapid.publicKey, 'key', { status: 403 })
    const verified = await jwtVerify(token, await importJWK(point(Buffer.from(key, 'base64url')), 'ES256'), {
      audience: url,
    }).catch((error: unknown) => demand(false, `VAPID: ${error}`, { status: 403 }))
    const { exp = 0, sub = '' } = (verified as Awaited<ReturnType<typeof jwtVerify>>).payload
    demand(exp - Date.now() / 1000 <= 86_400 && /^(mailto|https):/.test(sub), 'VAPID claims', { status: 403 })
    return decrypt(bytes, browser.keys.getPrivateKey(), browser.auth)
  }

  const url = await startVendorServer(t, parts, {
    certificate,
    isSend: () => true,
    async answer(call) {
      const text = await take(call)
      const { token } = browsers.get(call.path) as Browser
      const script = parts.answers.get(token)
      const headers = script && { ...(script === '429' ? { 'retry-after': '7' } : {}), location: `${url}/push/2` }
      if (headers) return { status: Number(script), headers }
      const { title, body, badge, data, ...more } = JSON.parse(text)
      parts.shown.push({ token, title, body, badge, data, more: { ...more, headers: call.headers } })
      return { status: 201 }
    },
  })
  const tokenOf = (number: number) => {
    const path = `/push/${number}`
    const known = browsers.get(path)
    if (known) return known.token
    const keys = createECDH('prime256v1')
    const p256dh = keys.generateKeys('base64url')
    const auth = randomBytes(16)
    const token = subscriptionToken({ endpoint: `${url}${path}`, p256dh, auth: auth.toString('base64url') })
    browsers.set(path, { keys, auth, token })
    return token
  }
  const settings = ({ publicKey, privateKey }: webPush.VapidKeys) => ({
    PUSH_WEBPUSH_PUBLIC_KEY: publicKey,
    PUSH_WEBPUSH_PRIVATE_KEY: privateKey,
    PUSH_WEBPUSH_SUBJECT: 'mailto:operator@im.example',
    PUSH_WEBPUSH_ALLOW_PRIVATE: 'true',
    PUSH_CA: certificate.cert,
  })
  return {
    ...parts,
    provider: 'webpush',
    device: 'web',
    env: settings(vapid),
    wrongEnv: settings(webPush.generateVAPIDKeys()),
    token: tokenOf,
    deadCode: '410',
    isNamedByUsers: true,
  }
}
