import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Pwd, Text } from '../param-types.ts'
import { Raw } from '../result-types.ts'
import { deviceParams } from './accounts.ts'

const optional = () => Type.Optional(Text({ trim: true }))

/** RFC 6749, 7009 and 7662: answers and status codes are theirs, not the envelope's. The handlers write them whole. */
export const oauth = contract('user', {
  token: {
    path: '/oauth2/token',
    summary: { zh: 'OAuth 2.0 令牌', en: 'OAuth 2.0 token' },
    auth: 'none',
    signature: 'none',
    body: 'form',
    answer: 'oauth',
    methods: ['POST'],
    params: Type.Object({
      grant_type: optional(),
      username: Type.Optional(Text({ trim: true, description: 'telephone, account or userId' })),
      areaCode: Text({ default: '86', trim: true }),
      password: Type.Optional(Pwd()),
      refresh_token: optional(),
      client_id: Type.Optional(Text({ trim: true, maxLength: 200, description: 'free text, logged' })),
      ...deviceParams,
      address: optional(),
    }),
    result: Raw('application/json'),
    errors: ['AccountNotFound', 'WrongPassword', 'AccountLocked', 'LoginTooOften'],
  },
  revoke: {
    path: '/oauth2/revoke',
    summary: { zh: 'OAuth 2.0 吊销令牌', en: 'OAuth 2.0 revocation' },
    auth: 'none',
    signature: 'none',
    body: 'form',
    answer: 'oauth',
    methods: ['POST'],
    params: Type.Object({ token: optional(), token_type_hint: optional() }),
    result: Raw('application/json'),
  },
  introspect: {
    path: '/oauth2/introspect',
    summary: { zh: 'OAuth 2.0 令牌自省', en: 'OAuth 2.0 introspection' },
    auth: { anyOf: ['internal', { console: 6 }] },
    safe: true,
    signature: 'none',
    body: 'form',
    answer: 'oauth',
    methods: ['POST'],
    params: Type.Object({ token: optional(), token_type_hint: optional() }),
    result: Raw('application/json'),
  },
})
