import { Type } from 'typebox'
import type { Fields } from '../fields.ts'
import { FlagResult, UnixSeconds } from '../result-types.ts'
import { profileFields } from './profile-fields.ts'

/** Stored fields of an account that everybody sees. */
export const publicUserFields = {
  account: { type: Type.String() },
  ...profileFields,
  userType: { type: Type.Integer({ description: '0 ordinary, 2 public account, 3 robot' }), default: 0 },
  status: { type: Type.Integer({ description: '1 normal, -1 locked' }), default: 1 },
  level: { type: Type.Integer(), default: 0 },
  vip: { type: Type.Integer(), default: 0 },
  createTime: { type: UnixSeconds() },
} satisfies Fields

/** Stored fields that only the user sees. Others are shown the default, because numbers and lists are never absent. */
export const ownUserFields = {
  setAccountCount: { type: Type.Integer({ description: 'times the account name was changed' }), default: 0 },
  role: { type: Type.Array(Type.Integer(), { description: '5 administrator, 6 super administrator' }), default: [] },
  offlineNoPushMsg: { type: FlagResult({ description: '1: do not disturb' }), default: 0 },
} satisfies Fields
