import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Milliseconds } from '../result-types.ts'

export const clock = contract('gateway', {
  getCurrentTime: {
    path: '/getCurrentTime',
    summary: { zh: '获取服务器当前时间', en: 'Current time of the server' },
    auth: 'none',
    safe: true,
    signature: 'none',
    params: Type.Object({}),
    result: Milliseconds(),
  },
})
