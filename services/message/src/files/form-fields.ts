import { ContractError } from '@im/contracts'
import type { FieldName } from './receive-form.ts'

type Fields = ReadonlyMap<FieldName, string>
const dayMs = 86_400_000
const absent = new Set(['null', 'undefined', '(null)', '0'])

/** A user id of a form (transport.md §2). */
export function userIdIn(fields: Fields): number | undefined {
  const text = fields.get('userId')
  if (text === undefined || absent.has(text)) return undefined
  const value = /^\+?\d{1,10}(\.0+)?$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= 1 && value <= 2_147_483_647)) throw new ContractError('InvalidParams', { detail: 'userId' })
  return value
}

/** `userId` of a form may only be that of the caller. */
export function refuseForeignUser(fields: Fields, caller: number): void {
  const named = userIdIn(fields)
  if (named !== undefined && named !== caller) throw new ContractError('PermissionDenied', { detail: 'userId' })
}

/** Days of `validTime`; undefined when it is absent. */
export function validDaysIn(fields: Fields): number | undefined {
  const text = fields.get('validTime')
  if (text === undefined || absent.has(text)) return text === '0' ? 0 : undefined
  if (!/^[+-]?\d{1,9}(\.\d{0,20})?\s*天?$/.test(text)) throw new ContractError('InvalidParams', { detail: 'validTime' })
  return Number.parseFloat(text)
}

/** When a file with so many days expires: at least a day; undefined for ever. */
export const expiryOf = (days: number, now: number): Date | undefined =>
  days > 0 ? new Date(Math.min(now + Math.max(1, days) * dayMs, 8.64e15)) : undefined
