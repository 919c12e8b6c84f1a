import { ContractError, type Handlers } from '@im/contracts'
import { authKeys, keyPairs } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { keepOf } from '../forget-user.ts'
import { listDhKeys } from './list-dh-keys.ts'
import { uploadMessageKeys } from './upload-message-keys.ts'
import { uploadPayKey } from './upload-pay-key.ts'

const pairHandlers: Handlers<typeof keyPairs, Deps> = {
  async uploadKeyPair(deps, { caller: { userId }, params: { publicKey, privateKey } }) {
    await keepOf(deps, userId, () => deps.keys.setPair(userId, { publicKey, privateKey }))
  },

  getPrivateKey: ({ keys }, { caller }) => keys.pairOf(caller.userId, 'pair'),
}

const authHandlers: Handlers<typeof authKeys, Deps> = {
  getPayPrivateKey: ({ keys }, { caller }) => keys.pairOf(caller.userId, 'pay'),

  async uploadPayKey(deps, { caller, params }) {
    await uploadPayKey(deps, caller.userId, params)
  },

  async uploadMessageKeys(deps, { caller, params }) {
    const { rsaPublicKey, rsaPrivateKey, dhPublicKey, dhPrivateKey, mac } = params
    if ((dhPublicKey === undefined) !== (dhPrivateKey === undefined))
      throw new ContractError('MissingParam', { detail: dhPublicKey === undefined ? 'dhPublicKey' : 'dhPrivateKey' })
    const dh = dhPublicKey && dhPrivateKey ? { publicKey: dhPublicKey, privateKey: dhPrivateKey } : undefined
    const rsa = { publicKey: rsaPublicKey, privateKey: rsaPrivateKey }
    await uploadMessageKeys(deps, caller, { dh, rsa }, mac)
  },

  async uploadDhKey(deps, { caller, params: { publicKey, privateKey, mac } }) {
    await uploadMessageKeys(deps, caller, { dh: { publicKey, privateKey } }, mac)
  },

  async uploadRsaKey(deps, { caller, params: { publicKey, privateKey, mac } }) {
    await uploadMessageKeys(deps, caller, { rsa: { publicKey, privateKey } }, mac)
  },

  async listDhKeys(deps, { caller, params, deadline, signal }) {
    const userId = params.userId ?? caller.userId
    const publicKeyList = await listDhKeys(deps, caller.userId, userId, { deadline, signal })
    return { userId: params.userId ?? 0, publicKeyList }
  },
}

export const keyRoutes = [...bindHandlers(keyPairs, pairHandlers), ...bindHandlers(authKeys, authHandlers)]
