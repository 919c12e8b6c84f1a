import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { ContractError, type Method } from '@im/contracts'
import { countStreamed, idleConnectionMs, type Logger, outcomeHeader } from '@im/service-kit'
import { type Dispatcher, RoundRobinPool } from 'undici'
import type { Outcome } from './answer.ts'
import { passAnswerHeaders } from './answer-headers.ts'

/** A call as a service gets it. */
export interface ServiceCall {
  method: Method
  /** Path and query. */
  url: string
  headers: Record<string, string>
  body?: Buffer | undefined
  requestId: string
  /** How long the answer may take to begin, the wait for a connection included. */
  timeoutMs: number
  /** The call only reads, so it is sent once more when the service dies while answering. */
  safe: boolean
}

type OnAnswer = (headers: IncomingHttpHeaders) => void

/** Connections to one service. Further calls wait for one, within their time. */
const mostConnections = 256
/** After this time (ms) a connection is replaced, so that new replicas behind the address of a service get their share. */
export const connectionLifetime = 60_000
/** Answers up to this size (bytes) are written together with their head. */
const shortBody = 8192

/** Sends calls to one service and writes its answers to the clients as they arrive. */
export class Upstream {
  readonly name: string
  readonly #pool: RoundRobinPool
  readonly #log: Logger
  readonly #onAnswer: OnAnswer
  readonly #waiting: WaitingAnswers
  #quietUntil = 0

  /** `onAnswer` gets the headers of each answer before the client does. */
  constructor(options: {
    name: string
    url: string
    connectTimeoutMs: number
    log: Logger
    lifetime?: number
    connections?: number
    onAnswer?: OnAnswer
  }) {
    const { connections = mostConnections } = options
    this.name = options.name
    this.#log = options.log
    this.#onAnswer = options.onAnswer ?? (() => {})
    this.#waiting = new WaitingAnswers((connections * 3) / 4)
    this.#pool = new RoundRobinPool(new URL(options.url).origin, {
      connections,
      clientTtl: options.lifetime ?? connectionLifetime,
      keepAliveTimeout: idleConnectionMs,
      keepAliveMaxTimeout: idleConnectionMs,
      connect: { timeout: options.connectTimeoutMs },
      // Each call has its own timer until the first byte, because that time includes the wait for a connection.
      headersTimeout: 0,
      bodyTimeout: options.connectTimeoutMs,
    })
  }

  /**
   * Rejects with ServiceUnavailable when no answer begins in time; then nothing was written. A call that may have reached the
   * service is only sent again when it is safe, because the work may be done already.
   */
  async forward(call: ServiceCall, answer: ServerResponse, headers: OutgoingHttpHeaders): Promise<Outcome> {
    const deadline = performance.now() + call.timeoutMs
    let result = await this.#send(call, answer, headers, deadline)
    const mayRepeat = typeof result === 'object' && !result.final && (call.safe || !result.sent)
    if (mayRepeat) result = await this.#send(call, answer, headers, deadline)
    if (typeof result === 'object') throw this.#unavailable(call, result.error)
    return result
  }

  #send(
    call: ServiceCall,
    answer: ServerResponse,
    headers: OutgoingHttpHeaders,
    deadline: number,
  ): Promise<Outcome | Failure> {
    return new Promise((resolve) => {
      const timeoutMs = Math.max(1, deadline - performance.now())
      const more = { waiting: this.#waiting, onAnswer: this.#onAnswer, done: resolve }
      const writer = new AnswerWriter({ answer, headers, timeoutMs, ...more })
      this.#pool.dispatch(
        { method: call.method, path: call.url, headers: call.headers, body: call.body ?? null },
        writer,
      )
    })
  }

  /** Clients get the request id; the log says which service did not answer, and why. */
  #unavailable({ url, requestId }: ServiceCall, error: Error): ContractError {
    // A service that is down fails every call, so it is logged at most once a second.
    if (performance.now() >= this.#quietUntil) {
      this.#quietUntil = performance.now() + 1000
      const line = { err: error, service: this.name, requestId, path: url.split('?', 1)[0] }
      this.#log.warn(line, 'a service does not answer')
    }
    return new ContractError('ServiceUnavailable', { detail: requestId, cause: error })
  }

  close(): Promise<void> {
    return this.#pool.destroy()
  }
}

interface Failure {
  error: Error
  /** The call may have reached the service. */
  sent: boolean
  /** The call must not be repeated: the time is over, or an answer had begun. */
  final: boolean
}

/**
 * Answers whose apps do not read as fast as they come. Each holds its connection to the service; when there are too many, the one that
 * was read longest ago is cut, so that apps which read nothing leave connections to others.
 */
class WaitingAnswers {
  readonly #most: number
  /** In the order in which they began to wait. */
  readonly #answers = new Set<AnswerWriter>()

  constructor(most: number) {
    this.#most = most
  }

  add(answer: AnswerWriter): void {
    this.#answers.add(answer)
    const [first] = this.#answers
    if (this.#answers.size > this.#most) first?.cut()
  }

  remove(answer: AnswerWriter): void {
    this.#answers.delete(answer)
  }
}

/** Writes the answer of a service. An answer that arrives in one piece, as most do, is written in one piece. */
class AnswerWriter implements Dispatcher.DispatchHandler {
  readonly #answer: ServerResponse
  readonly #headers: OutgoingHttpHeaders
  readonly #onAnswer: OnAnswer
  readonly #done: (result: Outcome | Failure) => void
  readonly #timer: NodeJS.Timeout
  readonly #waiting: WaitingAnswers
  #controller: Dispatcher.DispatchController | undefined
  #status = 0
  #outcome: Outcome = ''
  #whole: Buffer | undefined
  #ended = false

  /** `done` is called once. */
  constructor(options: {
    answer: ServerResponse
    headers: OutgoingHttpHeaders
    timeoutMs: number
    waiting: WaitingAnswers
    onAnswer: OnAnswer
    done: (result: Outcome | Failure) => void
  }) {
    this.#answer = options.answer
    this.#headers = options.headers
    this.#waiting = options.waiting
    this.#onAnswer = options.onAnswer
    this.#done = options.done
    this.#timer = setTimeout(() => this.#abort(new Error('no answer in time')), options.timeoutMs)
    this.#answer.once('close', this.#onClose)
  }

  /** The call has a connection, so from now on it may reach the service. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#ended) controller.abort(new Error('nobody waits any more'))
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return
    clearTimeout(this.#timer)
    this.#status = status
    this.#outcome = String(headers[outcomeHeader] ?? `HTTP ${status}`)
    this.#onAnswer(headers)
    passAnswerHeaders(headers, this.#headers)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#whole && Number(this.#headers['content-length']) === chunk.length) {
      this.#whole = chunk
      return
    }
    countStreamed(chunk.length)
    this.#writeHead()
    if (this.#answer.write(chunk)) return
    controller.pause()
    this.#waiting.add(this)
    this.#answer.once('drain', () => {
      this.#waiting.remove(this)
      controller.resume()
    })
  }

  /** Part of the answer is sent already, so the connection is cut to show that it is incomplete. */
  cut(): void {
    this.#end('cut')
    this.#answer.destroy()
    this.#controller?.abort(new Error('the answer is cut'))
  }

  onResponseEnd(): void {
    if (this.#ended) return
    this.#writeHead()
    // As text a short body is written together with the head; Latin-1 keeps every byte.
    if (this.#whole && this.#whole.length <= shortBody) this.#answer.end(this.#whole.toString('latin1'), 'latin1')
    else this.#answer.end(this.#whole)
    this.#end(this.#outcome)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#ended) return
    if (this.#answer.headersSent) this.cut()
    else this.#end({ error, sent: this.#controller !== undefined, final: this.#status !== 0 })
  }

  #writeHead(): void {
    if (!this.#answer.headersSent) this.#answer.writeHead(this.#status, this.#headers)
  }

  #end(result: Outcome | Failure): void {
    this.#ended = true
    this.#waiting.remove(this)
    clearTimeout(this.#timer)
    this.#answer.off('close', this.#onClose)
    this.#done(result)
  }

  #abort(error: Error): void {
    if (this.#ended) return
    this.#end({ error, sent: this.#controller !== undefined, final: true })
    this.#controller?.abort(error)
  }

  /** The client is gone, so nobody needs the rest of the answer. */
  readonly #onClose = () => {
    if (this.#ended) return
    this.#end('gone')
    this.#controller?.abort(new Error('the client went away'))
  }
}
