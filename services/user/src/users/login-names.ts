import { isMd5, md5 } from '../secrets/md5.ts'
import { dialledForms, type Registered, readWholeTelephone, type Telephone, telephoneKey } from './telephones.ts'

/** All that names a user. */
export interface Names {
  telephone?: Telephone
  userName?: string
  account: string
}

/** What no other user may be called: the keys under which these names are claimed. */
export function claimedNames({ telephone, userName, account }: Names): string[] {
  const texts = [userName, account].filter((text) => text !== undefined).map((text) => text.toLowerCase())
  return [...new Set(telephone ? [telephoneKey(telephone), ...texts] : texts)]
}

/** The key under which a telephone or a user name is claimed. */
export const registeredKey = ({ telephone, userName }: Registered) =>
  telephone ? telephoneKey(telephone) : userName.toLowerCase()

/** The keys that a text of the configuration may stand for: area code + number, or a user name. */
export function configuredKeys(text: string): string[] {
  const telephone = readWholeTelephone(text)
  return telephone ? [telephoneKey(telephone), text.toLowerCase()] : [text.toLowerCase()]
}

/** What a user may log in with, as md5 (crypto.md §1); case of names does not matter. */
export function loginNamesOf({ telephone, userName, account }: Names): {
  /** Account, user name, area code + number. */
  loginNames: string[]
  /** The number alone: means this user only together with the area code. */
  numberNames: string[]
} {
  const numbers = telephone ? dialledForms(telephone) : []
  const whole = numbers.map((number) => `${telephone?.areaCode}${number}`)
  const texts = [userName, account].filter((text) => text !== undefined)
  const names = [...whole, ...texts.flatMap((text) => [text, text.toLowerCase()])]
  return { loginNames: [...new Set(names)].map(md5), numberNames: numbers.map(md5) }
}

/** The md5 forms to look for: a given md5 itself, else those of the plain text as a number or an account. */
export function loginNameCandidates(text: string): string[] {
  if (isMd5(text)) return [text.toLowerCase()]
  const digits = text.replace(/[\s()+.-]/g, '')
  const plain = [text, text.toLowerCase(), ...(/^\d+$/.test(digits) ? [digits, digits.replace(/^00/, '')] : [])]
  return [...new Set(plain)].map(md5)
}
