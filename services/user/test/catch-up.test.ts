import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ContractError } from '@im/contracts'
import { internalUsers, profiles } from '@im/contracts/user'
import { eventually, ownServer } from '@im/service-kit/testing'
import type { Collection } from 'mongodb'
import { type Test, test } from 'tap'
import { newUser } from '../src/users/new-user.ts'
import { telephoneText } from '../src/users/telephones.ts'
import type { UserDocument } from '../src/users/user-document.ts'
import type { ReplayedUser } from '../src/users/users-repository.ts'
import { startUser } from './start-user.ts'

const firstId = 20_000_000

type UserService = Awaited<ReturnType<typeof startUser>>

/** One in twenty changes meanwhile and is stored whole; of the others only what is told of them. */
const changing = 20

/** Users as if they had registered long ago: no event of any of them is left. */
async function addUsers(users: Collection<UserDocument>, count: number): Promise<void> {
  const user = (n: number) => {
    const whole = newUser({ userId: firstId + n, createTime: 1, nickname: `n${n}` })
    const { _id, nickname, account, userType, status, offlineNoPushMsg, createTime } = whole
    return n % changing
      ? ({ _id, nickname, account, userType, status, offlineNoPushMsg, createTime } as UserDocument)
      : whole
  }
  for (let from = 0; from < count; from += 5000)
    await users.insertMany(
      Array.from({ length: Math.min(5000, count - from) }, (_, n) => user(from + n)),
      { ordered: false },
    )
}

/** A busy machine answers late: what was changed counts all the same, told or not. */
function ignoreBusy(error: unknown): void {
  if (!(error instanceof ContractError && error.errorName === 'ServiceUnavailable')) throw error
}

/** Users rename themselves, are locked and unlocked, and register, until it is ended. */
function changeUsers(user: UserService, count: number) {
  const ending = new AbortController()
  let changes = 0
  const work = async (worker: number) => {
    while (!ending.signal.aborted) {
      const userId = firstId + changing * Math.floor((Math.random() * count) / changing)
      const n = ++changes
      await change(worker, userId, n).catch(ignoreBusy)
      await delay(300)
    }
  }
  const change = async (worker: number, userId: number, n: number) => {
    if (n % 20 === worker) await user.person(`new${n}`)
    else if (n % 10 === worker) await user.internal.call(internalUsers.setLocked, { userId, locked: n % 2 ? 1 : 0 })
    else await user.internal.envelope(profiles.updateUser, { nickname: `changed ${n}` }, { as: userId })
  }
  const working = Promise.all([1, 2].map(work))
  return async () => {
    ending.abort()
    await working
    return changes
  }
}

async function startService(t: Test, env: Record<string, string>): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'catching-up-process.ts')], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  await once(child.stdout!, 'data')
  return child
}

const rowOf = (user: ReplayedUser) => ({
  _id: user._id,
  userId: user._id,
  nickname: user.nickname,
  account: user.account,
  telephone: telephoneText(user) ?? '',
  userType: user.userType,
  locked: user.status === -1,
  registeredAt: user.createTime,
})

/** Ids of users of whom the service knows something else than the user service. */
async function differing({ deps, env }: UserService): Promise<number[]> {
  const people = deps.mongoClient.db(`${env['NAMESPACE']}_social`).collection<ReturnType<typeof rowOf>>('people')
  const rows = new Map((await people.find().toArray()).map((row) => [row._id, row]))
  const wrong: number[] = []
  const fields = { nickname: 1, account: 1, telephone: 1, userName: 1, userType: 1, status: 1, createTime: 1 }
  for await (const user of deps.db.collection('users').find().project<ReplayedUser>(fields)) {
    const { _id, ...expected } = rowOf(user)
    const row = rows.get(_id)
    const same = row && Object.entries(expected).every(([name, value]) => row[name as keyof typeof expected] === value)
    if (!same) wrong.push(_id)
    rows.delete(_id)
  }
  return [...wrong, ...rows.keys()]
}

async function progress({ deps, env }: UserService) {
  const catchUps = deps.mongoClient
    .db(`${env['NAMESPACE']}_social`)
    .collection<{ rows: number; finishedAt?: Date }>('catch_ups')
  return await catchUps.findOne()
}

for (const [story, count, pageSize] of [
  ['a service that is started when there are 15,000 users has all of them', 15_000, 500],
  ['a service that is killed while it catches up goes on where it was', 4000, 100],
] as const)
  test(`${story}, while they keep changing`, async (t) => {
    // A database of its own: so much work would keep other tests waiting for theirs.
    const server = await ownServer(t, 'mongodb', { isVolatile: true })
    const user = await startUser(t, server ? { MONGODB_URL: server.url } : {})
    await addUsers(user.deps.db.collection<UserDocument>('users'), count)
    const env = { ...user.env, USER_URL: user.url, PAGE_SIZE: String(pageSize) }
    const endChanges = changeUsers(user, count)
    const startedAt = Date.now()
    let child = await startService(t, env)
    if (story.includes('killed')) {
      for (const share of [0.2, 0.6]) {
        await eventually(async () => ((await progress(user))?.rows ?? 0) >= count * share, 120_000)
        child.kill('SIGKILL')
        child = await startService(t, env)
      }
    }
    await eventually(async () => (await progress(user))?.finishedAt, 200_000)
    t.comment(`caught up in ${((Date.now() - startedAt) / 1000).toFixed(1)} s`)
    t.comment(`${await endChanges()} changes meanwhile`)
    t.strictSame(
      await eventually(async () => {
        const wrong = await differing(user)
        if (wrong.length) throw new Error(`${wrong.length} users differ, among them ${wrong.slice(0, 5)}`)
        return wrong
      }, 30_000),
      [],
    )
  })
