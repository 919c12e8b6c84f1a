import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { ContractError } from '@im/contracts'
import type { Logger } from '@im/service-kit'
import { type Dispatcher, errors, Pool } from 'undici'

export interface Outgoing {
  method: 'GET' | 'POST'
  /** Path and query. */
  path: string
  headers: Record<string, string>
  body?: Buffer | undefined
}

/** Connections to one service; calls beyond wait for one, within their time. */
const maxConnections = 256
const shortBody = 8192

const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-request-id',
])

/** A service behind the gateway. */
export class Upstream {
  readonly name: string
  readonly url: string
  readonly #pool: Pool
  readonly #timeoutMs: number
  readonly #log: Logger
  #quietUntil = 0

  constructor(options: { name: string; url: string; timeoutMs: number; log: Logger }) {
    this.name = options.name
    this.url = new URL(options.url).origin
    this.#timeoutMs = options.timeoutMs
    this.#log = options.log
    this.#pool = new Pool(this.url, {
      connections: maxConnections,
      connect: { timeout: options.timeoutMs },
      // The time to the first byte is watched here, because it also runs while a call waits for a connection.
      headersTimeout: 0,
      bodyTimeout: options.timeoutMs,
    })
  }

  /**
   * Sends a call to the service and writes its answer, with `headers` added, as it comes. Rejects with ServiceUnavailable
   * when there is none in time; then nothing was written.
   */
  async forward(call: Outgoing, answer: ServerResponse, headers: OutgoingHttpHeaders): Promise<void> {
    const deadline = performance.now() + this.#timeoutMs
    try {
      await this.#send(call, answer, headers, deadline).catch((error) => {
        if (!mayRepeat(error)) throw error
        return this.#send(call, answer, headers, deadline)
      })
    } catch (error) {
      this.#tell(error, call)
      throw new ContractError('ServiceUnavailable', { detail: `${this.name} does not answer`, cause: error })
    }
  }

  /** A service that is down fails every call: once a second is enough to know. */
  #tell(error: unknown, call: Outgoing): void {
    if (performance.now() < this.#quietUntil) return
    this.#quietUntil = performance.now() + 1000
    this.#log.warn({ err: error, service: this.name, path: call.path.split('?', 1)[0] }, 'a service does not answer')
  }

  #send(call: Outgoing, answer: ServerResponse, headers: OutgoingHttpHeaders, deadline: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pool.dispatch(
        { method: call.method, path: call.path, headers: call.headers, body: call.body ?? null },
        new Exchange(answer, headers, Math.max(1, deadline - performance.now()), resolve, reject),
      )
    })
  }

  /** Rejects while the service is not ready. */
  async ready(): Promise<void> {
    const { statusCode, body } = await this.#pool.request({
      method: 'GET',
      path: '/readyz',
      signal: AbortSignal.timeout(2000),
    })
    await body.dump()
    if (statusCode !== 200) throw new Error(`${this.name} is not ready`)
  }

  close(): Promise<void> {
    return this.#pool.destroy()
  }
}

/**
 * True when the service can't have begun to answer the call: no connection came about, or one that had served before was
 * closed by the service in the moment it was used again.
 */
function mayRepeat(error: Error & { code?: string }): boolean {
  if (error.code === 'ECONNREFUSED') return true
  const closed = error instanceof errors.SocketError || error.code === 'ECONNRESET' || error.code === 'EPIPE'
  return closed && ((error as errors.SocketError).socket?.bytesRead ?? 0) > 0
}

/** One call on its way. An answer that comes in one piece, as most do, is written in one piece. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #answer: ServerResponse
  readonly #headers: OutgoingHttpHeaders
  readonly #resolve: () => void
  readonly #reject: (error: Error) => void
  readonly #timer: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | undefined
  #status = 0
  #whole: Buffer | undefined
  #ended = false

  constructor(
    answer: ServerResponse,
    headers: OutgoingHttpHeaders,
    timeoutMs: number,
    resolve: () => void,
    reject: (error: Error) => void,
  ) {
    this.#answer = answer
    this.#headers = headers
    this.#resolve = resolve
    this.#reject = reject
    this.#timer = setTimeout(() => this.#abort(new Error('no answer in time')), timeoutMs)
    answer.once('close', this.#onClose)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#ended) controller.abort(new Error('nobody waits any more'))
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: OutgoingHttpHeaders): void {
    if (status < 200) return
    clearTimeout(this.#timer)
    this.#status = status
    for (const name in headers)
      if (!hopByHop.has(name) && !name.startsWith('access-control-')) this.#headers[name] = headers[name]
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
    this.#end()
    this.#writeHead()
    // As text (Latin-1 keeps every byte) a short body leaves in one write with the head.
    if (this.#whole && this.#whole.length <= shortBody) this.#answer.end(this.#whole.toString('latin1'), 'latin1')
    else this.#answer.end(this.#whole)
    this.#resolve()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#ended) return
    this.#end()
    if (this.#answer.headersSent) {
      // Half an answer can't be taken back: the client sees that it is cut.
      this.#answer.destroy()
      this.#resolve()
    } else this.#reject(error)
  }

  #writeHead(): void {
    if (!this.#answer.headersSent) this.#answer.writeHead(this.#status, this.#headers)
  }

  #end(): void {
    this.#ended = true
    clearTimeout(this.#timer)
    this.#answer.off('close', this.#onClose)
  }

  #abort(error: Error): void {
    if (this.#ended) return
    this.#end()
    this.#controller?.abort(error)
    this.#reject(error)
  }

  /** The client went away: the rest of the answer is of no use. */
  readonly #onClose = () => {
    if (this.#ended) return
    this.#end()
    this.#controller?.abort(new Error('the client went away'))
    this.#resolve()
  }
}
