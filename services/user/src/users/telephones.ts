import { ContractError } from '@im/contracts'

export interface Telephone {
  areaCode: string
  /** Number alone. */
  phone: string
  /** Area code + number. */
  telephone: string
}

const digitsOf = (text: string) => text.replace(/\D/g, '')

/**
 * A number as people and apps write it, in its one form (spec 02-user.md, register): signs and a leading `+` or `00` area code
 * are dropped; China's numbers have 11 digits and begin with 1, all others 5 to 15 digits. TelephoneInvalid otherwise.
 */
export function parseTelephone(text: string, areaCodeText: string): Telephone {
  const areaCode = digitsOf(areaCodeText).replace(/^0+/, '')
  let phone = digitsOf(text)
  for (const prefix of [`+${areaCode}`, `00${areaCode}`])
    if (compact(text).startsWith(prefix)) phone = digitsOf(compact(text).slice(prefix.length))
  const valid = areaCode === '86' ? /^1\d{10}$/.test(phone) : /^\d{5,15}$/.test(phone)
  if (!valid || !/^\d{1,4}$/.test(areaCode)) throw new ContractError('TelephoneInvalid')
  return { areaCode, phone, telephone: areaCode + phone }
}

const compact = (text: string) => text.replace(/[^\d+]/g, '')

/** With config regeditPhoneOrName=1 a name stands in the place of the number; it has no area code in front. */
export function parseUserName(text: string): Telephone {
  if (!/^[A-Za-z0-9_]{3,30}$/.test(text)) throw new ContractError('TelephoneInvalid')
  return { areaCode: '', phone: text, telephone: text }
}

export function parseLoginNumber(text: string, areaCode: string, byName: boolean): Telephone {
  return byName ? parseUserName(text) : parseTelephone(text, areaCode)
}
