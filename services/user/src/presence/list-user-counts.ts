import { ContractError, type Params } from '@im/contracts'
import type { userPresence } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { startOfDay } from './sample-users.ts'
import type { Grain } from './user-counts-repository.ts'

type Query = Params<(typeof userPresence)['listUserCounts']>

const day = 86_400
const lengthsOfSigns: Readonly<Record<number, number>> = { '-3': 30 * day, '-2': 7 * day, '-1': 2 * day }

/** Counts of users who were online (`type` 1) or not, oldest first. */
export async function listUserCounts({ userCounts, now }: Pick<Deps, 'userCounts' | 'now'>, query: Query) {
  const range = rangeOf(query, Math.floor(now() / 1000))
  const rows = await userCounts.list(grainOf(range), range, query)
  return rows.map(({ _id, time, online, offline }) => ({
    id: _id.toHexString(),
    count: query.type === 1 ? online : offline,
    time,
    type: query.type,
  }))
}

/** Dates win over `sign`; the end is included. */
function rangeOf({ sign = 0, startData, endData }: Query, now: number): { from: number; to: number } {
  if (startData !== undefined || endData !== undefined)
    return {
      from: startData ? dayStart('startData', startData) : 0,
      to: endData ? dayStart('endData', endData, 1) - 1 : now,
    }
  if (sign === 3) return { from: 0, to: now }
  const length = lengthsOfSigns[sign]
  if (length === undefined && sign !== 0) throw new ContractError('InvalidParams', { detail: 'sign' })
  return { from: length === undefined ? startOfDay(now) : now - length, to: now }
}

/** Up to 48 hours every sample is shown, up to 31 days one row for each hour, beyond one for each day. */
function grainOf({ from, to }: { from: number; to: number }): Grain {
  const length = to - from
  return length <= 2 * day ? 'sample' : length <= 31 * day ? 'hour' : 'day'
}

/** The first second of a day `yyyy-MM-dd` in the server's time zone. */
function dayStart(name: string, text: string, daysLater = 0): number {
  const [year = 0, month = 0, date = 0] = text.split('-').map(Number)
  const start = new Date(year, month - 1, date)
  if (start.getMonth() !== month - 1 || start.getDate() !== date)
    throw new ContractError('InvalidParams', { detail: `${name}: ${text} is no day` })
  return Math.floor(new Date(year, month - 1, date + daysLater).getTime() / 1000)
}
