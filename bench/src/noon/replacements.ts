import { setTimeout as delay } from 'node:timers/promises'
import type { ProcessName, ServerName, Stack } from '@im/dev'
import type { Balancer } from '@im/dev/balancer'

/** A process that was taken away and came back. Times are ms of performance.now(). */
export interface Replacement {
  name: ProcessName | ServerName
  how: 'ended' | 'killed'
  /** When it was asked to end, or killed. */
  at: number
  goneAt: number
  /** When all servers took connections again. */
  wholeAt: number
}

/** How long (ms) the balancers may take to see a process that answers. */
const patience = 30_000

/** Takes the processes away one after the other, each when the one before is back. */
export async function replaceInTurn(options: {
  stack: Stack
  balancers: readonly Balancer[]
  names: readonly (ProcessName | ServerName)[]
  how: Replacement['how']
  /** Milliseconds between two. */
  pause: number
  done: (replacement: Replacement) => void
}): Promise<void> {
  const { stack, balancers, names, how, pause, done } = options
  for (const name of names) {
    const at = performance.now()
    await stack.kill(name, how === 'ended' ? 'SIGTERM' : 'SIGKILL')
    const goneAt = performance.now()
    await stack.restart(name)
    await areWhole(balancers)
    done({ name, how, at, goneAt, wholeAt: performance.now() })
    await delay(pause)
  }
}

async function areWhole(balancers: readonly Balancer[]): Promise<void> {
  const end = performance.now() + patience
  while (!(await Promise.all(balancers.map((balancer) => balancer.isWhole()))).every(Boolean)) {
    if (performance.now() > end) throw new Error('a balancer sees a server that does not answer')
    await delay(100)
  }
}
