/**
 * How "contains" is answered by an index: a name is stored with its pieces of some lengths, and a keyword is looked up by its
 * longest piece of such a length. The piece has more than half of the keyword, so few names have the one without the other.
 */
const lengthsOfNames: readonly number[] = [1, 2, 3, 4, 6, 8, 12, 16, 24]

/** Texts that look alike are found by one another: width and case do not count. */
export const foldText = (text: string) => text.normalize('NFKC').toLowerCase().replace(/\s+/gu, ' ').trim()

/** The pieces under which a folded text is found. Long texts have very many, so give them few `lengths`. */
export function gramsOf(folded: string, lengths = lengthsOfNames): string[] {
  const characters = [...folded]
  const grams = new Set<string>()
  for (const length of lengths)
    for (let at = 0; at + length <= characters.length; at++) grams.add(characters.slice(at, at + length).join(''))
  return [...grams]
}

/** The piece to look a folded keyword up by. It is the last one, because names differ at their ends more than at the beginning. */
export function gramToFind(folded: string, lengths = lengthsOfNames): string {
  const characters = [...folded]
  const length = lengths.findLast((known) => known <= characters.length) ?? 1
  return characters.slice(-length).join('')
}

/**
 * Escapes a text for a regular expression of MongoDB. RegExp.escape writes some blanks as `\u3000`, which the patterns of
 * MongoDB (PCRE) do not know.
 */
export const escapeRegex = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
