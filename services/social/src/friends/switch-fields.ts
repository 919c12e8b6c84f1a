import type { OwnFields } from './change-own-row.ts'

/** What a switch sets: 0 mute, 1 burn after reading, 2 pin. `now` in milliseconds. */
export function switchFields(type: 0 | 1 | 2, value: 0 | 1, now: number): OwnFields {
  if (type === 0) return { offlineNoPushMsg: value }
  if (type === 1) return { isOpenSnapchat: value }
  return { isOpenTopChat: value, openTopChatTime: value ? Math.floor(now / 1000) : 0 }
}
