import { isMd5, md5 } from '../secrets/md5.ts'

/** What a user may log in with, as md5 (crypto.md §1): number, area code + number, account; case of names does not matter. */
export function loginNamesOf({ phone, telephone, account }: { phone?: string; telephone?: string; account: string }) {
  const names = [phone, telephone, account].filter((name) => name !== undefined)
  return [...new Set(names.flatMap((name) => [name, name.toLowerCase()]).map(md5))]
}

/** The md5 forms to look for: a given md5 itself, else those of the plain text as a number or an account. */
export function loginNameCandidates(text: string): string[] {
  if (isMd5(text)) return [text.toLowerCase()]
  const digits = text.replace(/[\s()+.-]/g, '')
  const plain = [text, text.toLowerCase(), ...(/^\d+$/.test(digits) ? [digits, digits.replace(/^00/, '')] : [])]
  return [...new Set(plain)].map(md5)
}
