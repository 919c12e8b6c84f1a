import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { wallet } from '@im/contracts/user'
import { createTestClient, eventually, ownServer } from '@im/service-kit/testing'
import { test } from 'tap'
import { sandboxOpenids } from '../src/payments/sandbox.ts'
import { askProviders } from '../src/wallet/ask-providers.ts'
import type { Ledger } from '../src/wallet/ledger.ts'
import { type Person, startUser } from './start-user.ts'

const md5 = (text: string) => createHash('md5').update(text).digest('hex')

function withdrawalOf({ userId, token }: Person, amount: string, ticks = 0) {
  const time = String(Math.floor(Date.now() / 1000) - ticks)
  return { amount, time, secret: md5(`sandbox-${userId}${userId}${md5(`${token}${amount}${time}`)}`) }
}

async function sumOf(ledger: Ledger, userId: number): Promise<{ balance: number; sum: number }> {
  const entries = await ledger.entriesOf(userId, 100_000)
  const { balance } = await ledger.of(userId)
  return { balance, sum: entries.reduce((total, { cents }) => total + cents, 0) }
}

test('when the database is killed in the middle, balance and journal agree, and nothing acknowledged is lost', async (t) => {
  const mongo = await ownServer(t, 'mongodb')
  if (!mongo) return
  const { api, deps, person } = await startUser(t, { MONGODB_URL: mongo.url, PAYMENT_PROVIDER: 'sandbox' })
  const people = [await person('alice'), await person('bob')]
  const acknowledged = new Map(people.map(({ userId }) => [userId, 0]))
  const asked = new Map(people.map(({ userId }) => [userId, 0]))
  const add = (counts: Map<number, number>, userId: number) => counts.set(userId, (counts.get(userId) ?? 0) + 1)
  let isOver = false
  const payers = people.flatMap((who) =>
    [1, 2, 3].map(async () => {
      while (!isOver) {
        add(asked, who.userId)
        const { resultCode } = await api
          .envelope(wallet.recharge, { money: '0.01', type: 1 }, { as: who.caller })
          .catch(() => ({ resultCode: 0 }))
        if (resultCode === 1) add(acknowledged, who.userId)
        else await delay(50)
      }
    }),
  )
  const enough = (count: number) => eventually(() => [...acknowledged.values()].every((n) => n >= count), 30_000)
  try {
    for (const count of [20, 40]) {
      await enough(count)
      await mongo.kill()
      await mongo.start()
    }
    await enough(60)
  } finally {
    isOver = true
    await Promise.all(payers)
  }
  for (const { userId } of people) {
    const { balance, sum } = await sumOf(deps.ledger, userId)
    t.equal(balance, sum)
    t.ok(balance >= (acknowledged.get(userId) ?? 0), `${acknowledged.get(userId)} acknowledged, ${balance} there`)
    t.ok(balance <= (asked.get(userId) ?? 0))
  }
})

test('a withdrawal whose process was killed is settled by another one', async (t) => {
  const payments = {
    isSandbox: true,
    openids: sandboxOpenids,
    // It never got the bill.
    transfers: { transfer: () => Promise.reject(new Error('not asked')), query: async () => undefined },
  }
  const user = await startUser(t, { PAYMENT_PROVIDER: 'sandbox' }, { payments })
  const { api, deps, env } = user
  const alice = await user.person('alice')
  const as = { as: alice.caller, token: alice.token }
  await api.call(wallet.recharge, { money: 10, type: 2 }, as)
  await api.call(wallet.bindWeChat, { code: 'x' }, as)

  const script = join(import.meta.dirname, 'withdrawing-process.ts')
  const child = spawn(process.execPath, [script], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const other = createTestClient({ baseUrl: String(line).trim(), callerKey: env['CALLER_KEY'], timeout: 20_000 })
  t.after(() => other.close())
  const asking = other.envelope(wallet.withdraw, withdrawalOf(alice, '500'), as).catch(() => undefined)
  await eventually(async () => (await deps.ledger.of(alice.userId)).balance === 500)
  child.kill('SIGKILL')
  await asking

  const refused = await api.envelope(wallet.withdraw, withdrawalOf(alice, '100', 1), as)
  t.equal(refused.resultCode, 1_040_224, 'one at a time')
  user.passSeconds(700)
  await eventually(async () => {
    await askProviders(deps)
    return (await deps.ledger.of(alice.userId)).balance === 1000
  }, 20_000)
  t.strictSame(await sumOf(deps.ledger, alice.userId), { balance: 1000, sum: 1000 })
})
