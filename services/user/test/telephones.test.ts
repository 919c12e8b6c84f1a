import assert from 'node:assert/strict'
import { failure } from '@im/service-kit/testing'
import fc from 'fast-check'
import { test } from 'tap'
import { loginNameCandidates, loginNamesOf } from '../src/users/login-names.ts'
import { parseTelephone, parseUserName } from '../src/users/telephones.ts'

test('a number has one form, however people write it', async (t) => {
  const alice = { areaCode: '86', phone: '13800000001', telephone: '8613800000001' }
  for (const text of ['13800000001', '138-0000-0001', '+86 138 0000 0001', '008613800000001', '(138) 00000001'])
    t.strictSame(parseTelephone(text, '86'), alice, text)
  t.strictSame(parseTelephone('13800000001', '+86'), alice)
  t.strictSame(parseTelephone('+1 415 555 0100', '1'), {
    areaCode: '1',
    phone: '4155550100',
    telephone: '14155550100',
  })
})

test('what cannot be a number is refused', async (t) => {
  for (const [text, areaCode] of [
    ['23800000001', '86'],
    ['1380000000', '86'],
    ['138000000011', '86'],
    ['1234', '1'],
    ['1234567890123456', '44'],
    ['alice', '86'],
    ['13800000001', 'x'],
    ['13800000001', '12345'],
  ] as const)
    t.throws(() => parseTelephone(text, areaCode), failure('TelephoneInvalid'), text)
  t.throws(() => parseUserName('al'), failure('TelephoneInvalid'))
  t.throws(() => parseUserName('alice bob'), failure('TelephoneInvalid'))
  t.equal(parseUserName('alice_01').telephone, 'alice_01')
})

test('a parsed number parses to itself', async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.stringMatching(/^1\d{10}$/), fc.constantFrom('', '+86', '0086', '+86-'), (phone, prefix) => {
        const parsed = parseTelephone(prefix + phone, '86')
        assert.equal(parsed.phone, phone)
        assert.deepEqual(parseTelephone(parsed.phone, parsed.areaCode), parsed)
      }),
    ),
  )
})

test('login names are the md5 forms of the specification', async (t) => {
  const names = loginNamesOf({ phone: '13800000001', telephone: '8613800000001', account: 'ann_01' })
  t.strictSame(names, [
    '4d009f30087e9aa9f5b5806d5f350017',
    '082e8b47e44626e6369491a35cd63edb',
    'cacff595a1207eccb43385d9d8fd4078',
  ])
  t.strictSame(loginNameCandidates('4D009F30087E9AA9F5B5806D5F350017'), ['4d009f30087e9aa9f5b5806d5f350017'])
  for (const text of ['13800000001', '+86 13800000001', '008613800000001', 'ann_01', 'ANN_01'])
    t.ok(
      loginNameCandidates(text).some((name) => names.includes(name)),
      text,
    )
})
