import { createCipheriv, createHmac, timingSafeEqual } from 'node:crypto'

const iv = Buffer.from('0102030405060708090a0b0c0d0e0f10', 'hex')

const hmacMd5 = (key: string, data: Uint8Array) => createHmac('md5', key).update(data).digest()

/** The macs that prove an app knows the login password when it uploads message keys, one for each telephone (crypto.md §8). */
export function messageKeyMacs(telephones: readonly string[], passwordMd5: string, apiKey: string): Buffer[] {
  const cipher = createCipheriv('aes-128-cbc', Buffer.from(passwordMd5, 'hex'), iv)
  const data = Buffer.concat([cipher.update(apiKey, 'utf8'), cipher.final()])
  return telephones.map((telephone) => hmacMd5(telephone, data))
}

/** The mac that proves an app knows the pay password when it uploads pay keys. Keys and mac are Base64. */
export function isPayKeyMac(
  mac: string,
  { privateKey, publicKey }: { privateKey: string; publicKey: string },
  payPasswordMd5: string,
): boolean {
  const keys = Buffer.concat([Buffer.from(privateKey, 'base64'), Buffer.from(publicKey, 'base64')])
  return constantTimeEqual(Buffer.from(mac, 'base64'), hmacMd5(payPasswordMd5, keys))
}

/** What is kept of an expected mac: nobody who reads the database can use it. */
export const keptMac = (pepper: string, mac: Uint8Array) =>
  createHmac('sha256', Buffer.from(pepper, 'hex')).update(mac).digest('base64url')

export const constantTimeEqual = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && timingSafeEqual(a, b)
