import { setImmediate as nextTurn } from 'node:timers/promises'
import { parsePhoneNumberFromString } from 'libphonenumber-js/min'

/** Numbers that are read before other work gets its turn. */
const numbersInTurn = 250

/**
 * Reads a number as people note it, under the area code of the owner unless it has one of its own. Gives `<area code>:<number>`;
 * undefined for what is no number.
 */
export function contactKey(text: string, areaCode: string): string | undefined {
  const compact = text.replace(/[^\d+]/g, '').replace(/^00/, '+')
  if (compact.length > 24) return undefined
  if (areaCode === '86' && /^1\d{10}$/.test(compact)) return `86:${compact}`
  const parsed = parsePhoneNumberFromString(compact, { defaultCallingCode: areaCode, extract: false })
  // Nobody registers a number of three digits: those are services, and no number that others are asked about.
  return parsed && /^\d{4,15}$/.test(parsed.nationalNumber)
    ? `${parsed.countryCallingCode}:${parsed.nationalNumber}`
    : undefined
}

/** Area code and number as one, as the API shows them. */
export const telephoneOf = (key: string) => key.replace(':', '')

/** Reads many numbers without keeping the process from other work: by their key, in their order, each once. */
export async function contactKeys<T>(
  items: readonly T[],
  textOf: (item: T) => string,
  areaCode: string,
): Promise<Map<string, T>> {
  const byKey = new Map<string, T>()
  for (const [n, item] of items.entries()) {
    if (n % numbersInTurn === numbersInTurn - 1) await nextTurn()
    const key = contactKey(textOf(item), areaCode)
    if (key && !byKey.has(key)) byKey.set(key, item)
  }
  return byKey
}
