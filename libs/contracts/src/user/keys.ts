import { Type } from 'typebox'
import { contract, type RateLimit } from '../contract.ts'
import { LongText, Text, UserId } from '../param-types.ts'
import { Maybe, Nothing, UnixSeconds } from '../result-types.ts'
import { payPasswordGuesses } from './passwords.ts'

/** A key is opaque here; private ones arrive encrypted by the app. */
const keyText = (aliases: readonly string[] = []) => LongText({ trim: true, maxLength: 16 * 1024, aliases })
const mac = () => Text({ trim: true, maxLength: 64, description: 'Base64 of HMAC-MD5' })
const PrivateKey = Maybe(Type.Object({ privateKey: Type.String() }, { description: 'no data when there is none' }))

/** All friends get a message about each change, and a wrong mac is a guess of the password. */
const keyChanges = { by: 'user', max: 20, seconds: 3600, group: 'message-keys' } as const satisfies RateLimit

export const keyPairs = contract('user', {
  uploadKeyPair: {
    path: '/user/uploadKey',
    summary: { zh: '上传公私钥', en: 'Store a key pair' },
    auth: 'user',
    params: Type.Object({ publicKey: keyText(), privateKey: keyText() }),
    result: Nothing,
  },
  getPrivateKey: {
    path: '/user/getPrivateKey',
    summary: { zh: '获取自己的私钥', en: 'Own private key' },
    auth: 'user',
    safe: true,
    params: Type.Object({}),
    result: PrivateKey,
  },
})

/** Keys of payments and of encrypted messages. A mac shows that the app knows a password (spec crypto.md §8). */
export const authKeys = contract('user', {
  getPayPrivateKey: {
    path: '/authkeys/getPayPrivateKey',
    summary: { zh: '获取支付私钥', en: 'Own private key of payments' },
    auth: 'user',
    safe: true,
    params: Type.Object({}),
    result: PrivateKey,
  },
  uploadPayKey: {
    path: '/authkeys/uploadPayKey',
    summary: { zh: '上传支付公私钥', en: 'Store the key pair of payments' },
    auth: 'user',
    params: Type.Object({ publicKey: keyText(), privateKey: keyText(), mac: mac() }),
    result: Nothing,
    errors: ['FeatureDisabled', 'PayPasswordNotSet', 'MacInvalid'],
    limits: [payPasswordGuesses],
  },
  uploadMessageKeys: {
    path: '/authkeys/uploadMsgKey',
    summary: { zh: '上传消息公私钥', en: 'Store the key pairs of messages' },
    auth: 'user',
    params: Type.Object({
      rsaPublicKey: keyText(['publicKey']),
      rsaPrivateKey: keyText(['privateKey']),
      dhPublicKey: Type.Optional(keyText()),
      dhPrivateKey: Type.Optional(keyText()),
      mac: mac(),
    }),
    result: Nothing,
    errors: ['MacInvalid'],
    limits: [keyChanges],
  },
  uploadDhKey: {
    path: '/authkeys/uploadDhMsgKey',
    summary: { zh: '上传消息 DH 公私钥', en: 'Store the DH key pair of messages' },
    auth: 'user',
    params: Type.Object({ publicKey: keyText(['dhPublicKey']), privateKey: keyText(['dhPrivateKey']), mac: mac() }),
    result: Nothing,
    errors: ['MacInvalid'],
    limits: [keyChanges],
  },
  uploadRsaKey: {
    path: '/authkeys/uploadRsaMsgKey',
    summary: { zh: '上传消息 RSA 公私钥', en: 'Store the RSA key pair of messages' },
    auth: 'user',
    params: Type.Object({ publicKey: keyText(['rsaPublicKey']), privateKey: keyText(['rsaPrivateKey']), mac: mac() }),
    result: Nothing,
    errors: ['MacInvalid'],
    limits: [keyChanges],
  },
  listDhKeys: {
    path: '/authkeys/getDHMsgKeyList',
    summary: { zh: '获取用户的 DH 公钥列表', en: 'DH public keys of a friend' },
    auth: 'user',
    safe: true,
    params: Type.Object({ userId: Type.Optional(UserId({ description: 'absent or 0: the caller' })) }),
    result: Type.Object({
      userId: Type.Integer({ description: 'the id that was asked for; 0 for the caller' }),
      publicKeyList: Type.Array(Type.Object({ key: Type.String(), time: UnixSeconds() }), {
        description: 'oldest first',
      }),
    }),
  },
})
