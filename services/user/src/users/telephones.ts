import { ContractError } from '@im/contracts'
import { getCountries, getCountryCallingCode, parsePhoneNumberFromString } from 'libphonenumber-js/min'

/** Only the country calling code and the number together identify a telephone. */
export interface Telephone {
  /** Country calling code, digits without leading zeros: `86`. */
  areaCode: string
  /** National significant number: no calling code, no national prefix. */
  number: string
}

/** What an account is registered with: a telephone, or with config regeditPhoneOrName=1 a user name. */
export type Registered = { telephone: Telephone; userName?: undefined } | { userName: string; telephone?: undefined }

const callingCodes: ReadonlySet<string> = new Set(getCountries().map((country) => getCountryCallingCode(country)))

/** Digits and plus signs of a number, with a leading `00` written as `+`. */
const compact = (text: string) => text.replace(/[^\d+]/g, '').replace(/^00/, '+')

/** Digits of an area code: `+86`, `0086` and `86` are one. */
export const areaCodeOf = (text: string) => text.replace(/\D/g, '').replace(/^0+/, '')

/**
 * Reads a number as people and apps write it (spec 02-user.md, register). Numbers of China have 11 digits and begin with 1,
 * others have 5 to 15 digits. Returns undefined for anything else, for an area code of no country, and for a number that is
 * written with the code of another country.
 */
export function readTelephone(text: string, areaCodeText: string): Telephone | undefined {
  const areaCode = areaCodeOf(areaCodeText)
  if (!callingCodes.has(areaCode)) return undefined
  const number = nationalNumber(text, areaCode)
  const form = areaCode === '86' ? /^1\d{10}$/ : /^\d{5,15}$/
  // A number must read as itself again, or it would have two keys.
  if (!number || !form.test(number) || nationalNumber(number, areaCode) !== number) return undefined
  return { areaCode, number }
}

/** Returns undefined when the text is no number or has the code of another country. */
function nationalNumber(text: string, areaCode: string): string | undefined {
  const parsed = parsePhoneNumberFromString(compact(text), { defaultCallingCode: areaCode, extract: false })
  return parsed?.countryCallingCode === areaCode ? parsed.nationalNumber : undefined
}

/** Reads area code and number written as one. No code of a country begins with another one, so only one reading exists. */
export function readWholeTelephone(text: string): Telephone | undefined {
  const digits = areaCodeOf(text)
  const areaCode = [1, 2, 3].map((length) => digits.slice(0, length)).find((code) => callingCodes.has(code))
  return areaCode ? readTelephone(digits.slice(areaCode.length), areaCode) : undefined
}

/** A user name has 3 to 30 of `[A-Za-z0-9_]`. */
export const readUserName = (text: string) => (/^[A-Za-z0-9_]{3,30}$/.test(text) ? text : undefined)

/** Like `readTelephone`, but throws TelephoneInvalid. */
export function parseTelephone(text: string, areaCode: string): Telephone {
  const telephone = readTelephone(text, areaCode)
  if (!telephone) throw new ContractError('TelephoneInvalid')
  return telephone
}

/** Like `readUserName`, but throws TelephoneInvalid. */
export function parseUserName(text: string): string {
  const userName = readUserName(text)
  if (!userName) throw new ContractError('TelephoneInvalid')
  return userName
}

/** Reads what somebody registers with. `byName` is config regeditPhoneOrName. */
export function readRegistered(text: string, areaCode: string, byName: boolean): Registered | undefined {
  const telephone = byName ? undefined : readTelephone(text, areaCode)
  const userName = byName ? readUserName(text) : undefined
  return telephone ? { telephone } : userName ? { userName } : undefined
}

export function parseRegistered(text: string, areaCode: string, byName: boolean): Registered {
  const registered = readRegistered(text, areaCode, byName)
  if (!registered) throw new ContractError('TelephoneInvalid')
  return registered
}

/** The key of a telephone wherever one is stored or counted. */
export const telephoneKey = ({ areaCode, number }: Telephone) => `${areaCode}:${number}`

/** What the wire calls `telephone`: area code + number, or the user name. */
export function telephoneText({
  telephone,
  userName,
}: {
  telephone?: Telephone
  userName?: string
}): string | undefined {
  return telephone ? telephone.areaCode + telephone.number : userName
}

/** The number without and, where a country has one, with the national prefix. */
export function dialledForms({ areaCode, number }: Telephone): string[] {
  const parsed = parsePhoneNumberFromString(number, { defaultCallingCode: areaCode, extract: false })
  const national = parsed?.formatNational().replace(/\D/g, '')
  return national && national !== number ? [number, national] : [number]
}
