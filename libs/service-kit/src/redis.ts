import { Redis as Client, type Command, type RedisOptions, ReplyError } from 'ioredis'
import { StoreAwayError } from './store-away.ts'

/** A command that is not answered within this (ms) fails, and so do those after it until Redis answers again. */
const answerWithinMs = 300
/** How often Redis is asked whether it is back (ms). */
const probeEveryMs = 200
/** A connection that owes an answer for so long (ms) is opened anew: the network may have forgotten it. */
const silentForMs = 3000

/** Answers of a server that can't serve for the moment: it still loads, or is a replica after a failover. */
const awayReply = /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN) /

/** The client's own commands when it connects, and the probe. */
const unrefused = new Set(['ping', 'auth', 'hello', 'info', 'select', 'client', 'quit'])

/**
 * A connection to Redis whose callers never wait long: a command fails after 300 ms with StoreAwayError, and from then on
 * every command fails at once until Redis answers a ping. What was told to have failed is not sent later.
 */
export class Redis extends Client {
  #isAway = false
  readonly #watched = new WeakSet<Command>()
  readonly #failed = new WeakSet<Command>()

  constructor(url: string, options: RedisOptions) {
    super(url, options)
    this.on('ready', () => {
      this.#isAway = false
    })
  }

  /** Whether a command would fail at once or wait for a connection. */
  get isAway(): boolean {
    return this.#isAway || this.status !== 'ready'
  }

  override sendCommand(command: Command, stream?: Parameters<Client['sendCommand']>[1]): unknown {
    if (this.#failed.has(command)) return command.promise
    this.#watch(command)
    if (this.#isAway && !unrefused.has(command.name)) {
      command.reject(new StoreAwayError('Redis', 'does not answer'))
      return command.promise
    }
    return super.sendCommand(command, stream)
  }

  /** The client sends a command again after a reconnection, through the same method. */
  #watch(command: Command): void {
    if (this.#watched.has(command)) return
    this.#watched.add(command)
    const { reject, resolve } = command
    // An answer may lie in the socket of a process that was busy for so long: it is read before Redis is blamed.
    const timer = setTimeout(() => setImmediate(() => command.reject(new Error('no answer in time'))), answerWithinMs)
    command.resolve = (answer) => {
      clearTimeout(timer)
      resolve(answer)
    }
    command.reject = (error) => {
      clearTimeout(timer)
      if (command.isResolved) return
      this.#failed.add(command)
      if (!isAwayError(error)) return reject(error)
      this.#startRest()
      reject(error instanceof StoreAwayError ? error : new StoreAwayError('Redis', error.message, { cause: error }))
    }
  }

  #startRest(): void {
    if (this.#isAway) return
    this.#isAway = true
    void this.#probe()
  }

  async #probe(): Promise<void> {
    while (this.#isAway && this.status !== 'end') {
      await new Promise((resolve) => setTimeout(resolve, probeEveryMs).unref())
      // While it is not connected the event `ready` ends the rest.
      if (this.status === 'ready' && (await this.ping().catch(() => undefined))) this.#isAway = false
    }
  }
}

/** All but the server's own answers tell that there is no connection, or none that answers. */
function isAwayError(error: Error): boolean {
  return error instanceof ReplyError ? awayReply.test(error.message) : true
}

/**
 * One connection with the namespace as key prefix. A server that is away does not stop the start; one that refuses the
 * credentials does.
 */
export async function connectRedis(options: { url: string; namespace: string }): Promise<Redis> {
  const redis = new Redis(options.url, {
    keyPrefix: `${options.namespace}:`,
    lazyConnect: true,
    connectTimeout: silentForMs,
    socketTimeout: silentForMs,
    maxRetriesPerRequest: 1,
    // What was not answered may have been done: it is not sent a second time.
    autoResendUnfulfilledCommands: false,
    enableAutoPipelining: true,
    retryStrategy: (attempt) => Math.min(attempt * 50, 1000),
    // After a failover the old primary is a replica that refuses writes: connect anew, to the one the name points to now.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  })
  let refusal: Error | undefined
  redis.on('error', (error) => {
    if (error instanceof ReplyError && !awayReply.test(error.message)) refusal = error
  })
  await redis.connect().catch(() => {})
  if (refusal) {
    redis.disconnect()
    throw refusal
  }
  return redis
}
