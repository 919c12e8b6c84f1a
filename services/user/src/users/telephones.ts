import { ContractError } from '@im/contracts'
import { getCountries, getCountryCallingCode, parsePhoneNumberFromString } from 'libphonenumber-js/min'

/** A telephone: only country calling code and number together name one. */
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
 * A number as people and apps write it, in its one form (spec 02-user.md, register). China's numbers have 11 digits and begin
 * with 1, all others 5 to 15 digits. Undefined when it is none, when the area code is no country's, or when the number names
 * another country itself.
 */
export function readTelephone(text: string, areaCodeText: string): Telephone | undefined {
  const areaCode = areaCodeOf(areaCodeText)
  if (!callingCodes.has(areaCode)) return undefined
  const number = nationalNumber(text, areaCode)
  const form = areaCode === '86' ? /^1\d{10}$/ : /^\d{5,15}$/
  // Prefixes are dropped once: a number that is read as another one the second time would have two keys.
  if (!number || !form.test(number) || nationalNumber(number, areaCode) !== number) return undefined
  return { areaCode, number }
}

/** Undefined when the text is no number or one of another country. */
function nationalNumber(text: string, areaCode: string): string | undefined {
  const parsed = parsePhoneNumberFromString(compact(text), { defaultCallingCode: areaCode, extract: false })
  return parsed?.countryCallingCode === areaCode ? parsed.nationalNumber : undefined
}

/** Area code and number written as one. No country's code begins with another's, so only one reading exists. */
export function readWholeTelephone(text: string): Telephone | undefined {
  const digits = areaCodeOf(text)
  const areaCode = [1, 2, 3].map((length) => digits.slice(0, length)).find((code) => callingCodes.has(code))
  return areaCode ? readTelephone(digits.slice(areaCode.length), areaCode) : undefined
}

/** A user name: 3 to 30 of `[A-Za-z0-9_]`. */
export const readUserName = (text: string) => (/^[A-Za-z0-9_]{3,30}$/.test(text) ? text : undefined)

/** The same as `readTelephone`, with TelephoneInvalid in the place of undefined. */
export function parseTelephone(text: string, areaCode: string): Telephone {
  const telephone = readTelephone(text, areaCode)
  if (!telephone) throw new ContractError('TelephoneInvalid')
  return telephone
}

/** The same as `readUserName`, with TelephoneInvalid in the place of undefined. */
export function parseUserName(text: string): string {
  const userName = readUserName(text)
  if (!userName) throw new ContractError('TelephoneInvalid')
  return userName
}

/** What somebody registers with or is looked up by; `byName` as config regeditPhoneOrName says. */
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

/** Area code + number, or the user name: what the wire calls `telephone`. */
export function telephoneText({
  telephone,
  userName,
}: {
  telephone?: Telephone
  userName?: string
}): string | undefined {
  return telephone ? telephone.areaCode + telephone.number : userName
}

/** The forms in which a number is dialled at home: with the national prefix, where there is one, and without. */
export function dialledForms({ areaCode, number }: Telephone): string[] {
  const parsed = parsePhoneNumberFromString(number, { defaultCallingCode: areaCode, extract: false })
  const national = parsed?.formatNational().replace(/\D/g, '')
  return national && national !== number ? [number, national] : [number]
}
