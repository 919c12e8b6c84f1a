/** How a vendor counts a text. `wide`: what is not ASCII counts twice, as vivo does. */
export type TextUnit = 'characters' | 'wide' | 'bytes'

const sizes: Readonly<Record<TextUnit, (character: string) => number>> = {
  // UTF-16 units: where a vendor counts code points instead, the text is a little shorter than it could be.
  characters: (character) => character.length,
  wide: (character) => (character.length === 1 && character <= '\u007f' ? 1 : 2),
  bytes: (character) => Buffer.byteLength(character),
}

/** The title where the vendor has no limit of its own: no device shows more. In characters. */
export const cutTitle = (title: string) => cutText(title, 100)

/** Most units of one UTF-16 unit. */
const largest: Readonly<Record<TextUnit, number>> = { characters: 1, wide: 2, bytes: 3 }

/** The longest beginning of a text that has at most `max` units. A surrogate pair is never cut. */
export function cutText(text: string, max: number, unit: TextUnit = 'characters'): string {
  if (text.length * largest[unit] <= max) return text
  const sizeOf = sizes[unit]
  let size = 0
  let end = 0
  for (const character of text) {
    size += sizeOf(character)
    if (size > max) return text.slice(0, end)
    end += character.length
  }
  return text
}

/**
 * The text of `build` with as much of `body` as makes it at most `max` bytes; undefined where it is too long even without.
 */
export function fitBytes(body: string, max: number, build: (body: string) => string): string | undefined {
  const fits = (text: string) => largest.bytes * text.length <= max || Buffer.byteLength(text) <= max
  const whole = build(body)
  if (fits(whole)) return whole
  // Encoded, a character may take more bytes than in the text, so the length is searched.
  let best: string | undefined
  let [low, high] = [0, Math.min(max, Buffer.byteLength(body))]
  while (low <= high) {
    const middle = (low + high) >> 1
    const built = build(cutText(body, middle, 'bytes'))
    if (fits(built)) [best, low] = [built, middle + 1]
    else high = middle - 1
  }
  return best
}

/** Data as JSON of at most `max` characters: the longest values are left out until it fits. */
export function dataText(data: Readonly<Record<string, string>>, max: number): string {
  const shortestFirst = Object.entries(data).toSorted(([, one], [, other]) => one.length - other.length)
  for (;;) {
    const text = JSON.stringify(Object.fromEntries(shortestFirst))
    if (text.length <= max || !shortestFirst.pop()) return text
  }
}
