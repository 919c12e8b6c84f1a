import { Type } from 'typebox'
import { contract } from '../contract.ts'
import { Milliseconds } from '../result-types.ts'

export const clock = contract('gateway', {
  getCurrentTime: {
    path: '/getCurrentTime',
    summary: '获取服务器当前时间',
    auth: 'none',
    params: Type.Object({}),
    result: Milliseconds(),
  },
})
