import { displayText } from '@im/contracts'
import fc from 'fast-check'
import { test } from 'tap'

test('a name is what can be seen of it', async (t) => {
  const names: [given: string, shown: string][] = [
    ['  alice ', 'alice'],
    ['al\u200bice', 'alice'],
    ['\u202ealice\u202c', 'alice'],
    ['\u2067alice\u2069', 'alice'],
    ['al\u00adi\u034fce\ufeff', 'alice'],
    ['alice\n\tbob', 'alice bob'],
    ['爱丽丝\u3000小姐', '爱丽丝 小姐'],
    ['a\u200b \u200b \u200bb', 'a b'],
    ['cafe\u0301', 'café'],
    [`q${'\u0301\u0302\u0303\u0304\u0305\u0306\u0307'.repeat(9)}`, 'q\u0301\u0302\u0303\u0304'],
    ['\u0301\u0301alice', 'alice'],
    ['a\u{e0061}\u{e0062}b', 'ab'],
    ['\ue000alice', 'alice'],
    ['al\u{16fe4}i\u{13430}c\u{1bc9d}e\u2d7f\u{1107f}', 'alice'],
  ]
  for (const [given, shown] of names) t.equal(displayText(given, 'line'), shown, JSON.stringify(given))
})

test('a name in which nothing can be seen is empty', async (t) => {
  const invisible = [
    ...['', ' ', '\u3000', '\u00a0\u2003', '\u200b\u200c\u200d\u2060\ufeff', '\u202a\u202e\u2066\u061c'],
    ...['\u3164', '\uffa0', '\u115f\u1160', '\u2800', '\ufe0f', '\u0301', '\u{e0001}\u{e007f}', '\u{1d159}', '\ufffc'],
    ...['\u{13441}', '\u{13442}\u{13441}', '\u{16fe4}'],
  ]
  for (const name of invisible) t.equal(displayText(name, 'line'), '', JSON.stringify(name))
})

test('emoji and scripts that join their letters keep what they need', async (t) => {
  for (const name of [
    '👨‍👩‍👧 family',
    '❤️',
    '1️⃣',
    '🇨🇳',
    '🏴\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}',
    '👩🏽‍🚀',
  ])
    t.equal(displayText(name, 'line'), name)
  for (const name of ['می‌خواهم', 'क्‍ष', 'ශ්‍රී']) t.equal(displayText(name, 'line'), name)
})

test('a longer text keeps its line breaks, and no more than one empty line', async (t) => {
  t.equal(displayText(' one \r\n\u200b\n\n\u2028 two\u202e \n', 'lines'), 'one\n\ntwo')
  t.equal(displayText('\u200b\n\u3164', 'lines'), '')
})

test('what was cleaned once stays as it is', async (t) => {
  t.equal(displayText('\u094d\u200d\u0860', 'line'), '\u0860', 'no joiner is left at the beginning')
  t.equal(displayText(`${'\u094d\u200d'.repeat(40)}क`, 'line'), '', 'nor a text that only tries')
  const odd = fc.constantFrom(
    ...[
      '\u200d',
      '\u200b',
      '\ufe0f',
      '\u20e3',
      '👨',
      '👩',
      '🇨',
      '1',
      ' ',
      '\n',
      '\u0301',
      '\u0323',
      'a',
      'क',
      '\u094d',
    ],
    ...['ا', '\u202e', '가', '\u1100', '\u1161', '\u3164', '\u2800', '🏴', '\u{e0067}', '\u{e007f}'],
  )
  const texts = fc
    .array(fc.oneof(odd, fc.string({ unit: 'grapheme' })), { maxLength: 30 })
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(texts, fc.constantFrom('line' as const, 'lines' as const), (text, display) => {
      const once = displayText(text, display)
      return displayText(once, display) === once
    }),
    { numRuns: 2000 },
  )
  t.pass()
})
