import { RowReader } from './packed-rows.ts'

/** Words as they stand in packed rows. Both sides are well-formed, so the bytes match exactly where the characters do. */
export const wordBytes = (words: readonly string[]): Buffer[] => words.map((word) => Buffer.from(word, 'utf8'))

/** The rows that hold each word in one of their texts. The reader is the same object each time. */
export function* matchingRows(bytes: Buffer, words: readonly Buffer[]): Generator<RowReader> {
  // Where each word occurs next: texts come in the order of their bytes, so each occurrence is looked for once.
  const next = words.map((word) => bytes.indexOf(word))
  if (next.includes(-1)) return
  for (const reader = new RowReader(bytes); reader.next(); ) {
    if (words.every((word, n) => occurs(reader, word, n))) yield reader
    else if (next.includes(-1)) return
  }

  function occurs({ texts }: RowReader, word: Buffer, n: number): boolean {
    for (const { start, end } of texts) {
      if (next[n]! !== -1 && next[n]! < start) next[n] = bytes.indexOf(word, start)
      if (next[n] === -1) return false
      if (next[n]! + word.length <= end) return true
    }
    return false
  }
}
