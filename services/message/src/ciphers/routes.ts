import type { Handlers } from '@im/contracts'
import type { ciphers } from '@im/contracts/message'
import { decryptText, encryptText } from './cipher-text.ts'

export const cipherHandlers: Handlers<typeof ciphers, unknown> = {
  encryptText: (_deps, { params }) => ({ text: encryptText(params.text, params.key) }),
  decryptText: (_deps, { params }) => ({ text: decryptText(params.text, params.key) }),
}
