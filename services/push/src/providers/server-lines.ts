import { upTo } from '@im/service-kit'
import { LRUCache } from 'lru-cache'

/** Servers that are remembered. Users may name any number of them. */
const mostServers = 10_000
/** Calls at once to a server that has not shown yet that it answers. */
const firstCalls = 2
/** Shares of the calls at once: those to all such servers together, and those to any one server. */
const callShares = { unproven: 1 / 4, server: 1 / 2 }
/** Shares of what may wait: for one server that is not proven, for all of them together, and for any one server. */
const waitingShares = { unproven: 1 / 10, allUnproven: 1 / 2, server: 1 / 2 }

/** A server, and the calls to it. */
interface Line {
  waiting: (() => void)[]
  running: number
  /** Calls at once. */
  allowed: number
  state: 'new' | 'proven' | 'failed'
}

/**
 * Who calls next, where users choose the servers. Each server has a line of its own, and gets more calls at once while it takes
 * what it is sent: servers that only keep us waiting, however many a user names, leave most calls to the others.
 */
export class ServerLines {
  readonly #lines = new LRUCache<string, Line>(upTo(mostServers))
  /** Lines of servers that are not proven, where somebody waits. */
  readonly #unproven = new Set<Line>()
  readonly #calls: typeof callShares
  readonly #waiting: typeof waitingShares
  #unprovenWaiting = 0
  #unprovenRunning = 0

  constructor({ concurrency, waiting }: { concurrency: number; waiting: number }) {
    this.#calls = sharesOf(concurrency, callShares)
    this.#waiting = sharesOf(waiting, waitingShares)
  }

  /** Runs a call when it is the server's turn. Undefined when too much waits for it, or for servers that are not proven. */
  run<T>(server: string, call: () => Promise<T>): Promise<T> | undefined {
    const line = this.#of(server)
    const { unproven, allUnproven, server: most } = this.#waiting
    const isFull =
      line.state === 'proven'
        ? line.waiting.length >= most
        : line.waiting.length >= unproven || this.#unprovenWaiting >= allUnproven
    return isFull ? undefined : this.#run(line, call)
  }

  /** Whether the server took what it was sent last. */
  isProven(server: string): boolean {
    return this.#of(server).state === 'proven'
  }

  /** The server took what it was sent. */
  took(server: string): void {
    const line = this.#of(server)
    line.allowed = Math.min(this.#calls.server, line.allowed + 1)
    this.#become(line, 'proven')
  }

  /** The server did not answer, or is in trouble. */
  failed(server: string): void {
    const line = this.#of(server)
    line.allowed = Math.min(this.#calls.server, firstCalls)
    this.#become(line, 'failed')
  }

  async #run<T>(line: Line, call: () => Promise<T>): Promise<T> {
    await new Promise<void>((start) => {
      line.waiting.push(start)
      this.#count(line, { waiting: 1 })
      this.#startNext(line)
    })
    try {
      return await call()
    } finally {
      line.running--
      this.#count(line, { running: -1 })
      this.#startNext(line)
    }
  }

  #startNext(line: Line): void {
    if (line.state !== 'proven') this.#startUnproven()
    else while (mayCall(line)) this.#start(line)
  }

  #startUnproven(): void {
    while (this.#unprovenRunning < this.#calls.unproven) {
      const next = [...this.#unproven].filter(mayCall).reduce<Line | undefined>(dearer, undefined)
      if (!next) return
      this.#start(next)
    }
  }

  #start(line: Line): void {
    const start = line.waiting.shift()
    line.running++
    this.#count(line, { waiting: -1, running: 1 })
    start?.()
  }

  /** Takes note of what has changed for a line, if it is one of those that are bounded together. */
  #count(line: Line, { waiting = 0, running = 0 }): void {
    if (line.state === 'proven') return
    this.#unprovenWaiting += waiting
    this.#unprovenRunning += running
    if (line.waiting.length) this.#unproven.add(line)
    else this.#unproven.delete(line)
  }

  #become(line: Line, state: Line['state']): void {
    const { running, waiting } = line
    this.#count(line, { waiting: -waiting.length, running: -running })
    this.#unproven.delete(line)
    line.state = state
    this.#count(line, { waiting: waiting.length, running })
    this.#startNext(line)
    this.#startUnproven()
  }

  #of(server: string): Line {
    const known = this.#lines.get(server)
    if (known) return known
    const allowed = Math.min(this.#calls.server, firstCalls)
    const line: Line = { waiting: [], running: 0, allowed, state: 'new' }
    this.#lines.set(server, line)
    return line
  }
}

const mayCall = ({ waiting, running, allowed }: Line) => waiting.length > 0 && running < allowed

/** A server of many comes before those that somebody named to keep us busy, and any other before one that has failed. */
function dearer(a: Line | undefined, b: Line): Line {
  if (!a) return b
  if (a.state !== b.state) return a.state === 'failed' ? b : a
  return b.waiting.length > a.waiting.length ? b : a
}

const sharesOf = <K extends string>(of: number, shares: Record<K, number>) =>
  Object.fromEntries(
    Object.entries<number>(shares).map(([name, share]) => [name, Math.max(1, Math.floor(share * of))]),
  ) as Record<K, number>
