/** Characters of a part. NATS takes a mebibyte, and a character may be three bytes long, or take two as JSON. */
const partLength = 200_000

/**
 * Cuts what is told to other replicas into parts that NATS takes; at least one. `lengthOf`: about how many characters an item takes,
 * with all that a client may have made long.
 */
export function* cutParts<T>(items: readonly T[], lengthOf: (item: T) => number): Generator<T[]> {
  let part: T[] = []
  let length = 0
  for (const item of items) {
    const own = lengthOf(item)
    if (part.length && length + own > partLength) {
      yield part
      part = []
      length = 0
    }
    part.push(item)
    length += own
  }
  yield part
}
