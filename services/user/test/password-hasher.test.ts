import { failure } from '@im/service-kit/testing'
import { test } from 'tap'
import { PasswordHasher } from '../src/passwords/password-hasher.ts'
import { seal, unseal } from '../src/secrets/sealed-text.ts'
import { tokenId } from '../src/sessions/tokens.ts'
import { md5Of123456 } from './start-user.ts'

const settings = { argon2MemoryKib: 19_456, argon2Passes: 2, argon2Lanes: 1, hashConcurrency: 2, hashQueue: 4 }
const vector = '$argon2id$v=19$m=19456,t=2,p=1$AAECAwQFBgcICQoLDA0ODw$8SwH+ng9iN/CfO8tW+ymLOMxUA8k6B6SYLCfgE3zvY8'

test('the vector of the specification verifies, another password does not', async (t) => {
  const hasher = await PasswordHasher.create(settings)
  t.equal(await hasher.verify(vector, md5Of123456), true)
  t.equal(await hasher.verify(vector, md5Of123456.replace('e', 'f')), false)
  t.equal(hasher.isWeaker(vector), false)
})

test('a hash has a salt of its own and the parameters of the settings', async (t) => {
  const hasher = await PasswordHasher.create(settings)
  const [one, two] = await Promise.all([hasher.hash(md5Of123456), hasher.hash(md5Of123456)])
  t.match(one, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[^$]{22}\$[^$]{43}$/)
  t.not(one, two)
  t.equal(await hasher.verify(one, md5Of123456), true)
})

test('weaker parameters are noticed', async (t) => {
  const stronger = await PasswordHasher.create({ ...settings, argon2MemoryKib: 65_536 })
  t.equal(stronger.isWeaker(vector), true)
  const weaker = await PasswordHasher.create({ ...settings, argon2MemoryKib: 1024, argon2Passes: 1 })
  t.equal(weaker.isWeaker(vector), false)
})

test('nobody is right for no hash, and takes as long to find out', async (t) => {
  const hasher = await PasswordHasher.create(settings)
  await hasher.verify(undefined, md5Of123456)
  const time = async (stored: string | undefined) => {
    const startedAt = performance.now()
    await hasher.verify(stored, md5Of123456)
    return performance.now() - startedAt
  }
  // The best of some, in turn: other work on the machine only ever adds.
  let [known, unknown] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  for (let round = 0; round < 8; round++) {
    known = Math.min(known, await time(vector))
    unknown = Math.min(unknown, await time(undefined))
  }
  t.ok(unknown > known / 3 && unknown < known * 3, `${unknown} ms against ${known} ms`)
})

test('a queue that was full at the first unknown account leaves no trace', async (t) => {
  const hasher = await PasswordHasher.create({ ...settings, hashQueue: 1 })
  const busy = Array.from({ length: 3 }, () => hasher.hash(md5Of123456))
  await t.rejects(hasher.verify(undefined, md5Of123456), failure('ServiceUnavailable'))
  await Promise.all(busy)
  t.equal(await hasher.verify(undefined, md5Of123456), false)
})

test('a full queue refuses instead of letting everybody wait', async (t) => {
  const hasher = await PasswordHasher.create(settings)
  const all = await Promise.allSettled(Array.from({ length: 10 }, () => hasher.hash(md5Of123456)))
  const refused = all.filter((one) => one.status === 'rejected')
  t.equal(refused.length, 4)
  t.match(refused[0]?.reason, failure('ServiceUnavailable'))
})

test('the id of a token is its SHA-256', async (t) => {
  t.equal(
    tokenId('2e707085469844aebd36a98136f90520'),
    '57d38fef53a1e246a129245932afc1eabb7b1c41125a02b77fa578f001157768',
  )
})

test('a sealed text opens under its key only', async (t) => {
  const key = Buffer.alloc(32, 1)
  const sealed = seal(key, '123456')
  t.equal(unseal(key, sealed), '123456')
  t.not(seal(key, '123456'), sealed)
  t.equal(unseal(Buffer.alloc(32, 2), sealed), undefined)
  t.equal(unseal(key, (sealed.startsWith('A') ? 'B' : 'A') + sealed.slice(1)), undefined)
})
