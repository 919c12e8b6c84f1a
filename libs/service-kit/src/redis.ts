import { Redis as Client, type Command, type RedisOptions, ReplyError } from 'ioredis'
import { hostsOf, StartError } from './start-error.ts'
import { StoreAwayError } from './store-away.ts'

/** A command that is not answered within this (ms) fails, and so do those after it until Redis answers again. */
const answerWithinMs = 300
/** How often Redis is asked whether it is back (ms). */
const probeEveryMs = 200
/** A connection without an answer for this long (ms) is opened again, because the network may have dropped it. */
const silentForMs = 3000

/**
 * Errors of a server that can't serve at the moment: it is still loading, became a replica in a failover, or takes no writes
 * because its memory or disk is full or its replicas are away.
 */
const awayReply = /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|OOM|MISCONF|NOREPLICAS|BUSY) /

/**
 * Errors of a server that does not take our password. At the start that is a wrong setting; later it was changed there, and the
 * server is away until this process is started with the new one.
 */
const refusingReply = /^(WRONGPASS|NOAUTH|NOPERM) |^ERR (invalid password|.*AUTH)/

/**
 * Commands that are sent even while Redis is away: those of the client when it connects, and the probe. They are never written
 * together with commands of others, which may be refused.
 */
const unrefused = new Set(['ping', 'auth', 'hello', 'info', 'select', 'client', 'quit'])

/**
 * A connection to Redis whose callers never wait long. A command that is not answered in 300 ms fails with StoreAwayError, and
 * then every command fails at once until Redis answers a ping. A command that failed is never sent later: the client hands those
 * that wait for a connection over while Redis still counts as away.
 */
export class Redis extends Client {
  #isAway = false
  readonly #watched = new WeakSet<Command>()

  constructor(url: string, options: RedisOptions) {
    super(url, options)
    this.on('ready', () => {
      this.#isAway = false
    })
  }

  /** True when a command would fail at once or wait for a connection. */
  get isAway(): boolean {
    return this.#isAway || this.status !== 'ready'
  }

  override sendCommand(command: Command, stream?: Parameters<Client['sendCommand']>[1]): unknown {
    this.#watch(command)
    if (this.#isAway && !unrefused.has(command.name)) {
      command.reject(new StoreAwayError('Redis', 'does not answer'))
      return this.#leaveOut(command, stream)
    }
    return super.sendCommand(command, stream)
  }

  /**
   * A pipeline is written when all of its commands have come. One that is left out must count, too; otherwise the others would
   * wait for answers to commands that were never written, and take those of later ones.
   */
  #leaveOut(command: Command, stream: Parameters<Client['sendCommand']>[1]): unknown {
    if (this.status === 'ready' && stream && 'isPipeline' in stream) stream.write('')
    return command.promise
  }

  /** Limits the time of a command. The client sends it again after a reconnection, so each is watched once. */
  #watch(command: Command): void {
    if (this.#watched.has(command)) return
    this.#watched.add(command)
    const { reject, resolve } = command
    // If this process was busy for so long, the answer may already be in the socket: it is read first.
    const timer = setTimeout(() => setImmediate(() => command.reject(new Error('no answer in time'))), answerWithinMs)
    command.resolve = (answer) => {
      clearTimeout(timer)
      resolve(answer)
    }
    command.reject = (error) => {
      clearTimeout(timer)
      if (command.isResolved) return
      if (!isAwayError(error)) return reject(error)
      this.#markAway()
      // The client has to know that it was refused.
      if (refusingReply.test(error.message) && unrefused.has(command.name)) return reject(error)
      reject(error instanceof StoreAwayError ? error : new StoreAwayError('Redis', error.message, { cause: error }))
    }
  }

  #markAway(): void {
    if (this.#isAway) return
    this.#isAway = true
    void this.#probe()
  }

  async #probe(): Promise<void> {
    while (this.#isAway && this.status !== 'end') {
      await new Promise((resolve) => setTimeout(resolve, probeEveryMs).unref())
      // Without a connection, the event `ready` tells that Redis is back.
      if (this.status === 'ready' && (await this.ping().catch(() => undefined))) this.#isAway = false
    }
  }
}

/** Every error that is not an answer of the server means that the connection is gone or silent. */
function isAwayError(error: Error): boolean {
  return !(error instanceof ReplyError) || awayReply.test(error.message) || refusingReply.test(error.message)
}

/**
 * Opens one connection with the namespace as key prefix. Resolves even while the server is away; throws StartError when it
 * refuses the credentials.
 */
export async function connectRedis(options: { url: string; namespace: string }): Promise<Redis> {
  const redis = new Redis(options.url, {
    keyPrefix: `${options.namespace}:`,
    lazyConnect: true,
    connectTimeout: silentForMs,
    socketTimeout: silentForMs,
    maxRetriesPerRequest: 1,
    // A command without an answer may have been executed, so it is not sent again.
    autoResendUnfulfilledCommands: false,
    enableAutoPipelining: true,
    autoPipeliningIgnoredCommands: [...unrefused],
    retryStrategy: (attempt) => Math.min(attempt * 50, 1000),
    // After a failover the old primary refuses writes: connect again, to the one the name points to now.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  })
  let refusal: Error | undefined
  redis.on('error', (error) => {
    if (error instanceof ReplyError && !awayReply.test(error.message)) refusal = error
  })
  await redis.connect().catch(() => {})
  if (refusal) {
    redis.disconnect()
    const where = `Redis at ${hostsOf(options.url)}`
    throw new StartError(`${where} refuses the user or the password of REDIS_URL (${refusal.message})`, {
      cause: refusal,
    })
  }
  return redis
}
