/** Checks a password with Argon2id over and over, so many at a time, and tells how fast that was. */
import { setTimeout as delay } from 'node:timers/promises'
import { hash, verify } from '@node-rs/argon2'

export interface HashLoopResult {
  perSecond: number
  cpuMilliseconds: number
}

export interface HashLoopOrder {
  memoryCost: number
  timeCost: number
  parallelism: number
  atOnce: number
  seconds: number
}

process.on('message', async ({ atOnce, seconds, ...parameters }: HashLoopOrder) => {
  const password = 'e10adc3949ba59abbe56e057f20f883e'
  const stored = await hash(password, { algorithm: 2, outputLen: 32, ...parameters })
  let checked = 0
  let isOver = false
  const cpuBefore = process.cpuUsage()
  const startedAt = performance.now()
  const loops = Array.from({ length: atOnce }, async () => {
    while (!isOver) {
      if (!(await verify(stored, password))) throw new Error('a right password was refused')
      checked++
    }
  })
  await delay(seconds * 1000)
  isOver = true
  await Promise.all(loops)
  const perSecond = checked / ((performance.now() - startedAt) / 1000)
  const cpu = process.cpuUsage(cpuBefore)
  process.send?.({ perSecond, cpuMilliseconds: (cpu.user + cpu.system) / 1000 / checked } satisfies HashLoopResult)
})
