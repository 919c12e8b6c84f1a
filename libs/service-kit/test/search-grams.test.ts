import { escapeRegex, foldText, gramsOf, gramToFind } from '@im/service-kit'
import { test } from 'tap'

test('a name is found by every part of it', async (t) => {
  for (const lengths of [undefined, [1, 2, 3]])
    for (const name of ['a', '王小明', 'Alexander the Great of Macedonia', '👨‍👩‍👧家', 'ＦＵＬＬ width']) {
      const folded = foldText(name)
      const grams = new Set(gramsOf(folded, lengths))
      const characters = [...folded]
      for (let from = 0; from < characters.length; from++)
        for (let to = from + 1; to <= characters.length; to++) {
          const part = characters.slice(from, to).join('')
          if (!grams.has(gramToFind(part, lengths))) t.fail(`${name} is not found by ${part}`)
        }
    }
  t.equal(foldText(' ＡLICE  王 '), 'alice 王')
})

test('a pattern for MongoDB has no escapes but those of its own special characters', async (t) => {
  const text = 'a.b*c(d)[e]{f}|g^h$i\\j+k?-l\u3000m\u2028n\u00a0o/p'
  const pattern = escapeRegex(text)
  t.ok(new RegExp(`^${pattern}$`, 'v').test(text))
  t.notMatch(pattern.replaceAll('\\\\', ''), /\\[^^$.*+?()[\]{}|]/)
})
