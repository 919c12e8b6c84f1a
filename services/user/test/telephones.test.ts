import assert from 'node:assert/strict'
import { failure } from '@im/service-kit/testing'
import fc from 'fast-check'
import { getCountries, getCountryCallingCode } from 'libphonenumber-js/min'
import { test } from 'tap'
import { claimedNames, loginNameCandidates, loginNamesOf } from '../src/users/login-names.ts'
import {
  parseTelephone,
  parseUserName,
  readTelephone,
  readWholeTelephone,
  telephoneText,
} from '../src/users/telephones.ts'

test('a number has one form, however people write it', async (t) => {
  const alice = { areaCode: '86', number: '13800000001' }
  for (const text of ['13800000001', '138-0000-0001', '+86 138 0000 0001', '008613800000001', '(138) 00000001'])
    t.strictSame(parseTelephone(text, '86'), alice, text)
  for (const areaCode of ['+86', '0086', '86']) t.strictSame(parseTelephone('13800000001', areaCode), alice, areaCode)
  t.strictSame(parseTelephone('+1 415 555 0100', '1'), { areaCode: '1', number: '4155550100' })
  for (const text of ['7911 123456', '07911 123456', '+44 (0)7911 123456'])
    t.strictSame(parseTelephone(text, '44'), { areaCode: '44', number: '7911123456' }, text)
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
    // No country has these codes: the digits of another number would be split in another place.
    ['3800000001', '861'],
    ['13800000001', '9900'],
    ['13800000001', '999'],
    ['+1 415 555 0100', '86'],
  ] as const)
    t.throws(() => parseTelephone(text, areaCode), failure('TelephoneInvalid'), text)
  t.throws(() => parseUserName('al'), failure('TelephoneInvalid'))
  t.throws(() => parseUserName('alice bob'), failure('TelephoneInvalid'))
  t.equal(parseUserName('alice_01'), 'alice_01')
})

test('a number that was read is read as itself again, alone and together with its area code', async (t) => {
  const areaCode = fc.constantFrom(...new Set(getCountries().map((country) => getCountryCallingCode(country))))
  const property = fc.property(fc.stringMatching(/^(\+|00?)?\d{4,16}$/), areaCode, (text, code) => {
    const telephone = readTelephone(text, code)
    if (!telephone) return
    assert.deepEqual(readTelephone(telephone.number, code), telephone)
    assert.deepEqual(readWholeTelephone(telephoneText({ telephone }) ?? ''), telephone)
  })
  t.doesNotThrow(() => fc.assert(property, { numRuns: 20_000 }))
})

test('login names are the md5 forms of the specification', async (t) => {
  const { loginNames, numberNames } = loginNamesOf({
    telephone: { areaCode: '86', number: '13800000001' },
    account: 'ann_01',
  })
  t.strictSame(loginNames, ['082e8b47e44626e6369491a35cd63edb', 'cacff595a1207eccb43385d9d8fd4078'])
  t.strictSame(numberNames, ['4d009f30087e9aa9f5b5806d5f350017'])
  t.strictSame(loginNameCandidates('4D009F30087E9AA9F5B5806D5F350017'), ['4d009f30087e9aa9f5b5806d5f350017'])
  for (const text of ['13800000001', '+86 13800000001', '008613800000001', 'ann_01', 'ANN_01'])
    t.ok(
      loginNameCandidates(text).some((name) => loginNames.includes(name) || numberNames.includes(name)),
      text,
    )
})

test('a telephone is claimed as a pair, names as texts in the same key space', async (t) => {
  const telephone = { areaCode: '86', number: '13800000001' }
  t.strictSame(claimedNames({ telephone, userName: 'Frank_1', account: 'frank_1', inviteCode: 'ab' }), [
    'frank_1',
    '86:13800000001',
    'invite:ab',
  ])
})
