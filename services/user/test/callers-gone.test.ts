import { accounts } from '@im/contracts/user'
import { test } from 'tap'
import { startUser } from './start-user.ts'

test('the passwords of callers who left are not checked', async (t) => {
  // About 100 ms a hash, one at a time.
  const slow = { ARGON2_MEMORY_KIB: '65536', ARGON2_PASSES: '3', HASH_CONCURRENCY: '1' }
  const user = await startUser(t, slow)
  const alice = await user.person('alice')
  const timeOf = async (work: () => Promise<unknown>) => {
    const startedAt = performance.now()
    await work()
    return performance.now() - startedAt
  }
  const login = () => user.api.call(accounts.login, { telephone: alice.phone, password: '123456' })
  const alone = await timeOf(login)

  const left = new AbortController()
  const body = () => new URLSearchParams({ telephone: alice.phone, password: 'wrong' })
  const calls = Array.from({ length: 60 }, () =>
    fetch(`${user.url}/user/login`, { method: 'POST', body: body(), signal: left.signal }).catch(() => 'left'),
  )
  await new Promise((resolve) => setTimeout(resolve, alone))
  left.abort()
  await Promise.all(calls)
  const after = await timeOf(login)
  t.ok(after < alone * 12, `${Math.round(after)} ms, ${Math.round(alone)} ms alone`)
})
