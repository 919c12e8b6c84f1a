import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { ContractError } from '@im/contracts'
import { type Logger, outcomeHeader } from '@im/service-kit'
import { type Dispatcher, Pool } from 'undici'
import type { Outcome } from './answer.ts'
import { passAnswerHeaders } from './answer-headers.ts'

/** A call as a service gets it. */
export interface ServiceCall {
  method: 'GET' | 'POST'
  /** Path and query. */
  url: string
  headers: Record<string, string>
  body?: Buffer | undefined
  requestId: string
  /** How long the answer may take to begin, the wait for a connection included. */
  timeoutMs: number
  /** It only reads: when the service dies in the middle of it, it is sent once more. */
  safe: boolean
}

/** Connections to one service; calls beyond wait for one, within their time. */
const connections = 256
/** After this time (ms) a connection is replaced, so that new replicas behind the address of a service get their share. */
export const connectionLifetime = 60_000
/** Answers up to this size leave in one write with their head. */
const shortBody = 8192

/** Sends calls to one service and writes its answers, as they come, to whoever called. */
export class Upstream {
  readonly name: string
  readonly #pool: Pool
  readonly #log: Logger
  #quietUntil = 0

  constructor(options: { name: string; url: string; connectTimeoutMs: number; log: Logger; lifetime?: number }) {
    this.name = options.name
    this.#log = options.log
    this.#pool = new Pool(new URL(options.url).origin, {
      connections,
      clientTtl: options.lifetime ?? connectionLifetime,
      connect: { timeout: options.connectTimeoutMs },
      // The time to the first byte is watched by each call, because it also runs while the call waits for a connection.
      headersTimeout: 0,
      bodyTimeout: options.connectTimeoutMs,
    })
  }

  /**
   * Rejects with ServiceUnavailable when no answer begins in time; nothing was written then. A call that may have reached the
   * service is not sent again, unless it only reads: the work may be done.
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
      const writer = new AnswerWriter(answer, headers, Math.max(1, deadline - performance.now()), resolve)
      this.#pool.dispatch(
        { method: call.method, path: call.url, headers: call.headers, body: call.body ?? null },
        writer,
      )
    })
  }

  /** Apps learn the request id; who did not answer, and why, stands in the log. */
  #unavailable({ url, requestId }: ServiceCall, error: Error): ContractError {
    // A service that is down fails every call: once a second is enough to know.
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
  /** Something of the call may have reached the service. */
  sent: boolean
  /** The time is over, or an answer had begun. */
  final: boolean
}

/** Writes the answer of a service. One that comes in one piece, as most do, is written in one piece. */
class AnswerWriter implements Dispatcher.DispatchHandler {
  readonly #answer: ServerResponse
  readonly #headers: OutgoingHttpHeaders
  readonly #done: (result: Outcome | Failure) => void
  readonly #timer: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | undefined
  #status = 0
  #outcome: Outcome = ''
  #whole: Buffer | undefined
  #ended = false

  /** `done` is called once. */
  constructor(
    answer: ServerResponse,
    headers: OutgoingHttpHeaders,
    timeoutMs: number,
    done: (result: Outcome | Failure) => void,
  ) {
    this.#answer = answer
    this.#headers = headers
    this.#done = done
    this.#timer = setTimeout(() => this.#abort(new Error('no answer in time')), timeoutMs)
    answer.once('close', this.#onClose)
  }

  /** The call has a connection: from here on it may reach the service. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#ended) controller.abort(new Error('nobody waits any more'))
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return
    clearTimeout(this.#timer)
    this.#status = status
    this.#outcome = String(headers[outcomeHeader] ?? `HTTP ${status}`)
    passAnswerHeaders(headers, this.#headers)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#whole && Number(this.#headers['content-length']) === chunk.length) {
      this.#whole = chunk
      return
    }
    this.#writeHead()
    if (this.#answer.write(chunk)) return
    controller.pause()
    this.#answer.once('drain', () => controller.resume())
  }

  onResponseEnd(): void {
    if (this.#ended) return
    this.#writeHead()
    // As text (Latin-1 keeps every byte) a short body leaves in one write with the head.
    if (this.#whole && this.#whole.length <= shortBody) this.#answer.end(this.#whole.toString('latin1'), 'latin1')
    else this.#answer.end(this.#whole)
    this.#end(this.#outcome)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#ended) return
    if (this.#answer.headersSent) {
      // Half an answer can't be taken back: the client sees that it is cut.
      this.#answer.destroy()
      this.#end('cut')
    } else this.#end({ error, sent: this.#controller !== undefined, final: this.#status !== 0 })
  }

  #writeHead(): void {
    if (!this.#answer.headersSent) this.#answer.writeHead(this.#status, this.#headers)
  }

  #end(result: Outcome | Failure): void {
    this.#ended = true
    clearTimeout(this.#timer)
    this.#answer.off('close', this.#onClose)
    this.#done(result)
  }

  #abort(error: Error): void {
    if (this.#ended) return
    this.#end({ error, sent: this.#controller !== undefined, final: true })
    this.#controller?.abort(error)
  }

  /** The client went away: the rest of the answer is of no use. */
  readonly #onClose = () => {
    if (this.#ended) return
    this.#end('gone')
    this.#controller?.abort(new Error('the client went away'))
  }
}
