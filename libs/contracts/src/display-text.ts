/**
 * The one rule for texts that other people see in a list or a title: nicknames, remarks, labels, names of rooms, descriptions.
 * What such a text shows is what it is: nothing in it is invisible, turns the direction of what stands beside it, or runs over
 * the lines above and below.
 */

/** `line`: a name. `lines`: a text that may have line breaks. */
export type Display = 'line' | 'lines'

/** Scripts that are written with joiners between their letters. */
const joining = [
  ...['Arabic', 'Syriac', 'Devanagari', 'Bengali', 'Gurmukhi', 'Gujarati', 'Oriya', 'Tamil', 'Telugu', 'Kannada'],
  ...['Malayalam', 'Sinhala', 'Khmer', 'Myanmar'],
]
  .map((script) => `\\p{Script=${script}}`)
  .join('')

/**
 * Emoji (their joiners and selectors belong to them), joiners between letters that need them, and last what cannot be seen.
 * Fillers of Hangul and blanks such as the empty Braille cell or those of hieroglyphs look like nothing, though Unicode calls them
 * letters and symbols; so do the joiners of some old scripts.
 */
const makeVisibleOrNot = () =>
  new RegExp(
    `(\\p{RGI_Emoji}|(?<=[${joining}])[\\u200C\\u200D](?=[${joining}]))|` +
      '[\\p{Default_Ignorable_Code_Point}\\p{Bidi_Control}\\p{Cc}\\p{Co}\\p{Cs}\\p{Noncharacter_Code_Point}' +
      '\\u2800\\u2D7F\\uFFF9-\\uFFFC\\u{1107F}\\u{13430}-\\u{13442}\\u{16FE4}\\u{1BC9D}\\u{1D159}]',
    'gv',
  )
/** Made at the first text, because that takes 10 ms and most processes never see one. */
let visibleOrNot: RegExp | undefined

/** No writing needs more marks on one letter; piles of them cover the neighbours. */
const pileOfMarks = /(\p{M}{4})\p{M}+/gu
/** How many times a line is cleaned at most: one cleaning may leave something that was kept for the sake of what it removed. */
const mostPasses = 3
const somethingVisible = /[\p{L}\p{N}\p{P}\p{S}]/u

/** Returns the text without what cannot be seen, or '' when nothing is left that can. Doing it again changes nothing. */
export function displayText(text: string, display: Display): string {
  if (display === 'line') return displayLine(text)
  const lines = text.split(/\r\n|[\n\r\u2028\u2029]/).map((line) => displayLine(line))
  return lines
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .trim()
}

function displayLine(line: string, passes = mostPasses): string {
  visibleOrNot ??= makeVisibleOrNot()
  const blanks = line.replace(/\p{White_Space}+/gu, ' ')
  const visible = blanks.replace(visibleOrNot, (_, kept?: string) => kept ?? '').normalize('NFC')
  // What was removed may have stood between blanks, or before marks that now have no letter of their own.
  const tidy = visible
    .replace(pileOfMarks, '$1')
    .replace(/ {2,}/g, ' ')
    .replace(/^[ \p{M}]+/u, '')
    .trimEnd()
  // A joiner may have lost what it stood behind. Nobody writes a text in which that goes on and on.
  if (tidy !== visible) return passes > 1 ? displayLine(tidy, passes - 1) : ''
  return somethingVisible.test(tidy) ? tidy : ''
}
