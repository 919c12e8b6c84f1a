import type { Handlers } from '@im/contracts'
import { ciphers } from '@im/contracts/message'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { decryptText, encryptText } from './cipher-text.ts'

const handlers: Handlers<typeof ciphers, Deps> = {
  encryptText: (_deps, { params }) => ({ text: encryptText(params.text, params.key) }),
  decryptText: (_deps, { params }) => ({ text: decryptText(params.text, params.key) }),
}

export const cipherRoutes = bindHandlers(ciphers, handlers)
