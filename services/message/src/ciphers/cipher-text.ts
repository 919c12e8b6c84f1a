import { createCipheriv, createDecipheriv } from 'node:crypto'
import { ContractError } from '@im/contracts'

const iv = Buffer.from([1, 2, 3, 4, 5, 6, 7, 8])

/**
 * The 24 bytes of a DESede key. A key of 8 bytes means single DES, which current OpenSSL no longer has:
 * DES(k) equals DESede(k, k, k). Longer keys are cut (spec crypto.md §4).
 */
function tripleKey(key: string): Buffer {
  const bytes = Buffer.from(key)
  if (bytes.length === 8) return Buffer.concat([bytes, bytes, bytes])
  if (bytes.length >= 24) return bytes.subarray(0, 24)
  throw new ContractError('CipherFailed', { detail: 'the key must have 8 bytes, or 24 and more' })
}

/** DES or DESede in CBC mode with PKCS5 padding, as Base64. */
export function encryptText(text: string, key: string): string {
  const cipher = createCipheriv('des-ede3-cbc', tripleKey(key), iv)
  return cipher.update(text, 'utf8', 'base64') + cipher.final('base64')
}

/** The inverse of `encryptText`; CipherFailed for anything it did not write with this key. */
export function decryptText(text: string, key: string): string {
  const decipher = createDecipheriv('des-ede3-cbc', tripleKey(key), iv)
  try {
    const bytes = Buffer.concat([decipher.update(text, 'base64'), decipher.final()])
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new ContractError('CipherFailed', { cause })
  }
}
