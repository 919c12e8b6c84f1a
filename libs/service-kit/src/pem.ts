import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'

/** Keys come as PEM, with line breaks as `\n` in the environment, or as the bare Base64 that the providers' tools show. */
export function readPrivateKey(text: string): KeyObject {
  const pem = text.replaceAll('\\n', '\n').trim()
  if (pem.startsWith('-----')) return createPrivateKey(pem)
  const key = Buffer.from(pem, 'base64')
  try {
    return createPrivateKey({ key, format: 'der', type: 'pkcs8' })
  } catch {
    return createPrivateKey({ key, format: 'der', type: 'pkcs1' })
  }
}

export function readPublicKey(text: string): KeyObject {
  const pem = text.replaceAll('\\n', '\n').trim()
  return createPublicKey(
    pem.startsWith('-----') ? pem : { key: Buffer.from(pem, 'base64'), format: 'der', type: 'spki' },
  )
}
