/** Checks a password with Argon2id over and over, so many at a time, and tells how many checks a second were done. */
import { setTimeout as delay } from 'node:timers/promises'
import { hash, verify } from '@node-rs/argon2'

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
  process.send?.(checked / ((performance.now() - startedAt) / 1000))
})
