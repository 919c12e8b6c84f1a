import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { loginNameCandidates, loginNamesOf } from '../src/users/login-names.ts'
import { parseTelephone, parseUserName } from '../src/users/telephones.ts'
import { failure } from './start-user.ts'

test('a number has one form, however people write it', () => {
  const alice = { areaCode: '86', phone: '13800000001', telephone: '8613800000001' }
  for (const text of ['13800000001', '138-0000-0001', '+86 138 0000 0001', '008613800000001', '(138) 00000001'])
    assert.deepEqual(parseTelephone(text, '86'), alice, text)
  assert.deepEqual(parseTelephone('13800000001', '+86'), alice)
  assert.deepEqual(parseTelephone('+1 415 555 0100', '1'), {
    areaCode: '1',
    phone: '4155550100',
    telephone: '14155550100',
  })
})

test('what cannot be a number is refused', () => {
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
    assert.throws(() => parseTelephone(text, areaCode), failure('TelephoneInvalid'), text)
  assert.throws(() => parseUserName('al'), failure('TelephoneInvalid'))
  assert.throws(() => parseUserName('alice bob'), failure('TelephoneInvalid'))
  assert.equal(parseUserName('alice_01').telephone, 'alice_01')
})

test('a parsed number parses to itself', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^1\d{10}$/), fc.constantFrom('', '+86', '0086', '+86-'), (phone, prefix) => {
      const parsed = parseTelephone(prefix + phone, '86')
      assert.equal(parsed.phone, phone)
      assert.deepEqual(parseTelephone(parsed.phone, parsed.areaCode), parsed)
    }),
  )
})

test('login names are the md5 forms of the specification', () => {
  const names = loginNamesOf({ phone: '13800000001', telephone: '8613800000001', account: 'ann_01' })
  assert.deepEqual(names, [
    '4d009f30087e9aa9f5b5806d5f350017',
    '082e8b47e44626e6369491a35cd63edb',
    'cacff595a1207eccb43385d9d8fd4078',
  ])
  assert.deepEqual(loginNameCandidates('4D009F30087E9AA9F5B5806D5F350017'), ['4d009f30087e9aa9f5b5806d5f350017'])
  for (const text of ['13800000001', '+86 13800000001', '008613800000001', 'ann_01', 'ANN_01'])
    assert.ok(
      loginNameCandidates(text).some((name) => names.includes(name)),
      text,
    )
})
