import { isMd5, md5 } from '../secrets/md5.ts'
import { dialledForms, type Registered, readWholeTelephone, type Telephone, telephoneKey } from './telephones.ts'

/** What identifies a user. */
export interface Names {
  telephone?: Telephone
  userName?: string
  account: string
  inviteCode?: string
}

/** The keys under which the names of a user are claimed: no other user may have them. */
export function claimedNames({ telephone, userName, account, inviteCode }: Names): string[] {
  const keys = [account.toLowerCase()]
  if (telephone) keys.push(telephoneKey(telephone))
  if (userName !== undefined) keys.push(userName.toLowerCase())
  if (inviteCode !== undefined) keys.push(inviteCodeKey(inviteCode))
  return [...new Set(keys)]
}

/** Accounts and user names hold no colon. */
export const inviteCodeKey = (inviteCode: string) => `invite:${inviteCode.toLowerCase()}`

/** The key of a telephone or a user name. */
export const registeredKey = ({ telephone, userName }: Registered) =>
  telephone ? telephoneKey(telephone) : userName.toLowerCase()

/** The keys that a text of the configuration may stand for: it is an area code + number or a user name. */
export function configuredKeys(text: string): string[] {
  const telephone = readWholeTelephone(text)
  return telephone ? [telephoneKey(telephone), text.toLowerCase()] : [text.toLowerCase()]
}

/** What a user may log in with, as md5 (crypto.md §1). Names match in any case. */
export function loginNamesOf({ telephone, userName, account }: Names): {
  /** Account, user name, area code + number. */
  loginNames: string[]
  /** The number alone, which means this user only together with the area code. */
  numberNames: string[]
} {
  const numbers = telephone ? dialledForms(telephone) : []
  const whole = numbers.map((number) => `${telephone?.areaCode}${number}`)
  const texts = [userName, account].filter((text) => text !== undefined)
  const names = [...whole, ...texts.flatMap((text) => [text, text.toLowerCase()])]
  return { loginNames: [...new Set(names)].map(md5), numberNames: numbers.map(md5) }
}

/** The md5 values to look for: the given one, or those of a plain number or account. */
export function loginNameCandidates(text: string): string[] {
  if (isMd5(text)) return [text.toLowerCase()]
  const digits = text.replace(/[\s()+.-]/g, '')
  const plain = [text, text.toLowerCase(), ...(/^\d+$/.test(digits) ? [digits, digits.replace(/^00/, '')] : [])]
  return [...new Set(plain)].map(md5)
}
