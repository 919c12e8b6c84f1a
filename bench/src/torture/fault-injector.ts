import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { Stack } from '@im/dev'
import type { FlakyProxy } from './flaky-proxy.ts'
import type { Fault, LinkTarget, ProcessTarget } from './schedule.ts'

/** A fault as it happened, in ms of performance.now(). */
export interface Happened {
  fault: Fault
  from: number
  to: number
}

/** Does to the processes and connections of a stack what a schedule says, and sees that all of them are well in the end. */
export class FaultInjector {
  readonly happened: Happened[] = []
  readonly #stack: Stack
  readonly #links: Record<LinkTarget, FlakyProxy>
  /** Faults of one target come one after the other. */
  readonly #busy = new Map<string, Promise<void>>()
  readonly #ending = new AbortController()
  #isGivenUp = false

  constructor(stack: Stack, links: Record<LinkTarget, FlakyProxy>) {
    this.#stack = stack
    this.#links = links
  }

  /** Resolves when the last fault is over and everything runs. */
  async run(schedule: readonly Fault[]): Promise<void> {
    const began = performance.now()
    for (const fault of schedule) {
      await this.#pause(began + fault.at - performance.now())
      if (this.#ending.signal.aborted) break
      const name = processOf(fault.target) ?? fault.target
      const before = this.#busy.get(name) ?? Promise.resolve()
      this.#busy.set(
        name,
        before.then(() => this.#inject(fault)),
      )
    }
    await Promise.all(this.#busy.values())
  }

  /** What does not come back is left alone. */
  giveUp(): void {
    this.#isGivenUp = true
  }

  /** No more faults: what is stopped goes on, what is held is let go. */
  end(): void {
    this.#ending.abort()
  }

  async #inject(fault: Fault): Promise<void> {
    if (this.#ending.signal.aborted) return
    const from = performance.now()
    switch (fault.kind) {
      case 'kill':
        await this.#kill(fault.target, fault.lasts)
        break
      case 'stop':
        await this.#stop(fault.target, fault.lasts)
        break
      case 'cut':
      case 'hold':
        this.#links[fault.target][fault.kind]()
        await this.#pause(fault.lasts)
        this.#links[fault.target].open()
    }
    this.happened.push({ fault, from, to: performance.now() })
  }

  async #kill(target: ProcessTarget, downFor: number): Promise<void> {
    const name = processOf(target)
    if (!name) {
      await this.#signal(target, 'SIGKILL')
      return
    }
    await this.#stack.kill(name)
    await this.#pause(downFor)
    // What it needs may be away itself.
    while (!this.#isGivenUp) {
      try {
        return await this.#stack.restart(name)
      } catch {
        await delay(200)
      }
    }
  }

  async #stop(target: ProcessTarget, lasts: number): Promise<void> {
    const pid = await this.#signal(target, 'SIGSTOP')
    await this.#pause(lasts)
    if (pid !== undefined) signal(pid, 'SIGCONT')
  }

  async #signal(target: ProcessTarget, name: NodeJS.Signals): Promise<number | undefined> {
    const owner = processOf(target)
    const pid = owner ? this.#stack.process(owner).pid : await this.#syncHelper(target)
    if (pid !== undefined) signal(pid, name)
    return pid
  }

  /** The XMPP server's only child. */
  async #syncHelper(target: ProcessTarget): Promise<number | undefined> {
    const { pid } = this.#stack.process(target.replace('.sync', '') as 'prosody')
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
    return children ? Number(children.split(' ')[0]) : undefined
  }

  async #pause(ms: number): Promise<void> {
    await delay(Math.max(0, ms), undefined, { signal: this.#ending.signal }).catch(() => {})
  }
}

/** Undefined for what the stack does not start itself. */
const processOf = (target: Fault['target']) => {
  const isProcess = !target.includes('.') && !/^(clients|component)/.test(target)
  return isProcess ? (target as 'prosody') : undefined
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended meanwhile.
  }
}
