import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ObjectId } from 'mongodb'
import { test } from 'tap'
import { foldText, foldWords } from '../src/search/fold-text.ts'
import { matchingRows, wordBytes } from '../src/search/matching-rows.ts'
import { NewestMatches } from '../src/search/newest-matches.ts'
import { packRow, packRows, type SearchRow, summaryOf, unpackRows, without } from '../src/search/packed-rows.ts'
import {
  addTokens,
  buildFilter,
  type Level,
  mergeFilters,
  narrow,
  type PageFilter,
  sliceOf,
  type Token,
  tokensToAsk,
} from '../src/search/page-filter.ts'
import { columnsOf } from '../src/search/seal-rows.ts'
import { defaultLimits } from '../src/search/search-limits.ts'

const anyText = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom(...'ab 你好世界\u0001　é1😀¨') }),
)
const folded = anyText.map(foldText)
const wholeNumber = fc.nat(Number.MAX_SAFE_INTEGER)
const row: fc.Arbitrary<SearchRow> = fc
  .record({
    id: fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => new ObjectId(bytes)),
    from: wholeNumber,
    to: wholeNumber,
    contentType: fc.nat(),
    timeSend: fc.oneof(fc.nat(), fc.double({ noNaN: true, noDefaultInfinity: true })),
    ts: fc.double({ noNaN: true, noDefaultInfinity: true }),
    expireAt: fc.option(fc.date({ noInvalidDate: true }), { nil: undefined }),
    texts: fc.array(folded, { minLength: 1, maxLength: 2 }),
  })
  .map(({ expireAt, ...rest }) => (expireAt ? { ...rest, expireAt } : rest))
const someRows = fc.array(row, { maxLength: 12 })

test('packed rows', async (t) => {
  t.test('come back as they were, also when two packs are joined', async (t) => {
    t.doesNotThrow(() =>
      fc.assert(
        fc.property(someRows, someRows, (first, second) => {
          assert.deepEqual([...unpackRows(Buffer.concat([packRows(first), packRows(second)]))], [...first, ...second])
        }),
      ),
    )
  })

  t.test('are summed up', async (t) => {
    t.doesNotThrow(() =>
      fc.assert(
        fc.property(fc.array(row, { minLength: 1, maxLength: 8 }), (rows) => {
          const { count, minTime, maxTime } = summaryOf(packRows(rows))
          assert.deepEqual(
            [count, minTime, maxTime],
            [
              rows.length,
              Math.min(...rows.map(({ timeSend }) => timeSend)),
              Math.max(...rows.map(({ timeSend }) => timeSend)),
            ],
          )
        }),
      ),
    )
  })

  t.test('lose exactly the rows that are taken out', async (t) => {
    t.doesNotThrow(() =>
      fc.assert(
        fc.property(
          fc.uniqueArray(row, { selector: ({ id }) => id.toHexString() }),
          fc.func(fc.boolean()),
          (rows, isGone) => {
            const left = rows.filter(({ id }) => !isGone(id.toHexString()))
            const packed = without(packRows(rows), ({ hexId }) => isGone(hexId))
            if (left.length === rows.length) assert.equal(packed, undefined)
            else assert.deepEqual([...unpackRows(packed!)], left)
          },
        ),
      ),
    )
  })

  t.test('that end in the middle of a row are an error, not an answer', async (t) => {
    const packed = packRow({ id: new ObjectId(), from: 1, to: 2, contentType: 1, timeSend: 1, ts: 1, texts: ['你好'] })
    for (let end = 1; end < packed.length - 6; end++)
      t.throws(() => [...unpackRows(packed.subarray(0, end))], RangeError)
  })

  t.test('match where each word is in one of the texts', async (t) => {
    t.doesNotThrow(() =>
      fc.assert(
        fc.property(
          someRows,
          fc.array(folded.filter(Boolean), { minLength: 1, maxLength: 3 }),
          fc.nat(),
          (rows, words, n) => {
            // Most words that nobody chose are nowhere: some are parts of texts.
            const texts = rows.flatMap((one) => one.texts).filter(Boolean)
            const text = [...(texts[n % (texts.length || 1)] ?? '')]
            const asked = n % 3 ? [text.slice(n % (text.length || 1)).join('') || 'a', ...words.slice(1)] : words
            const expected = rows.filter((one) => asked.every((word) => one.texts.some((part) => part.includes(word))))
            assert.deepEqual(
              Array.from(matchingRows(packRows(rows), wordBytes(asked)), (reader) => reader.row),
              expected,
            )
          },
        ),
        { numRuns: 500 },
      ),
    )
  })
})

test('page filter', async (t) => {
  const tokensOf = (text: string) => {
    const tokens = new Set<Token>()
    addTokens(text, tokens)
    return tokens
  }

  /** Pages of a filter that a search for the words would read. */
  function candidates(filter: PageFilter, level: Level, words: readonly string[]): Set<number> {
    const bits = Buffer.alloc(filter.width, 0xff)
    for (const token of tokensToAsk(words, 2)) narrow(bits, token, filter.slices[sliceOf(token, level)]!, level)
    return new Set(Array.from({ length: filter.width * 8 }, (_, n) => n).filter((n) => bits[n >> 3]! & (1 << (n & 7))))
  }

  t.test('names every page that holds the words, on each level', async (t) => {
    const parts = fc.array(fc.array(folded, { minLength: 1, maxLength: 11 }), { minLength: 2, maxLength: 3 })
    t.doesNotThrow(() =>
      fc.assert(
        fc.property(parts, fc.nat(), fc.nat(), fc.integer({ min: 1, max: 5 }), (filters, which, from, length) => {
          const pages = filters.flat()
          const chars = [...pages[which % pages.length]!]
          const at = from % (chars.length || 1)
          const words = foldWords(chars.slice(at, at + length).join(''))
          if (!words.length) return
          const low = filters.map((texts) => buildFilter(texts.map(tokensOf)))
          const high = mergeFilters(low, 1)
          const higher = mergeFilters([high], 2)
          let before = 0
          for (const [n, texts] of filters.entries()) {
            for (const [page, text] of texts.entries()) {
              if (!words.every((word) => text.includes(word))) continue
              assert.ok(candidates(low[n]!, 0, words).has(page))
              assert.ok(candidates(high, 1, words).has(before * 8 + page))
              assert.ok(candidates(higher, 2, words).has(before * 8 + page))
            }
            before += low[n]!.width
          }
        }),
        { numRuns: 300 },
      ),
    )
  })

  t.test('names few pages that do not', async (t) => {
    const char = (n: number) => String.fromCodePoint(0x4e00 + ((Math.imul(n, 7919) >>> 0) % 5000))
    const pages = Array.from({ length: 64 }, (_, page) =>
      Array.from({ length: 800 }, (_, n) => char(page * 800 + n)).join(''),
    )
    const filter = buildFilter(pages.map(tokensOf))
    let [wrong, asked] = [0, 0]
    for (let n = 0; n < 300; n++) {
      const word = char(n) + char(n * n + 3)
      const found = candidates(filter, 0, [word])
      wrong += [...found].filter((page) => !pages[page]!.includes(word)).length
      asked += pages.filter((text) => !text.includes(word)).length
    }
    t.ok(wrong / asked < 0.05, `${wrong} of ${asked}`)
  })

  t.test('of a page with too many tokens names it always', async (t) => {
    const filter = buildFilter([new Set([1]), undefined, new Set([2])])
    t.ok(candidates(filter, 0, ['不在']).has(1))
  })
})

test('columns hold all rows in order, and are small', async (t) => {
  await t.resolves(
    fc.assert(
      fc.asyncProperty(
        someRows,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 40 }),
        async (rows, columnMessages, columnTokens) => {
          const columns = await columnsOf(rows, { ...defaultLimits, columnMessages, columnTokens })
          const inOrder = [...rows].sort((a, b) => a.timeSend - b.timeSend)
          assert.deepEqual(
            columns.flatMap((column) => column.rows),
            inOrder,
          )
          for (const column of columns) {
            assert.ok(column.rows.length <= columnMessages)
            assert.ok(column.tokens ? column.tokens.size <= columnTokens : column.rows.length === 1)
          }
        },
      ),
    ),
  )
})

test('the newest matches are kept, in whatever order and however often they come', async (t) => {
  const match = fc.nat(60).map((n) => n.toString(16).padStart(24, '0'))
  const place = (id: string) => ({ timeSend: Number.parseInt(id, 16) % 7, ts: Number.parseInt(id, 16) % 3 })
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        fc.array(fc.array(match, { maxLength: 12 }), { maxLength: 6 }),
        fc.integer({ min: 1, max: 8 }),
        (rounds, most) => {
          const newest = new NewestMatches(most)
          for (const [n, round] of rounds.entries()) {
            for (const hexId of round) newest.add({ hexId, ...place(hexId) })
            const unread = rounds.slice(n + 1).flat()
            if (newest.isDone(Math.max(...unread.map((id) => place(id).timeSend)))) break
          }
          const expected = [...new Set(rounds.flat())]
            .map((id) => ({ id, ...place(id) }))
            .sort((a, b) => b.timeSend - a.timeSend || b.ts - a.ts || (a.id < b.id ? 1 : -1))
            .slice(0, most)
          assert.deepEqual(newest.newest, expected)
        },
      ),
      { numRuns: 300 },
    ),
  )
})
