import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type OutgoingHttpHeaders,
} from 'node:http2'
import type { Socket } from 'node:net'
import { rootCertificates } from 'node:tls'

const longestAnswer = 64 * 1024
/** How often (ms) a kept connection is asked whether it is still there: networks drop idle ones without a word. */
const pingEveryMs = 60_000

export interface Http2Options {
  /** Origin of the server. */
  url: string
  ca: string | undefined
  /** Client certificate and its key (PEM). */
  certificate?: { cert: string; key: string }
  timeoutMs: number
}

export interface Http2Answer {
  status: number
  headers: Readonly<Record<string, string | string[] | undefined>>
  text: string
}

/**
 * One HTTP/2 session to a server, opened when it is needed. After a GOAWAY, a request without an answer or a lost connection the
 * next request opens a new one; the old one ends when its requests have. Requests beyond what the server allows at the same time
 * wait in the session.
 */
export class Http2Client {
  readonly #options: Http2Options
  readonly #sessions = new Set<ClientHttp2Session>()
  readonly #sockets = new WeakMap<ClientHttp2Session, Socket>()
  readonly #retired = new WeakSet<ClientHttp2Session>()
  /** Cancel the requests that run. */
  readonly #cancels = new Set<(reason: string) => void>()
  readonly #signals = new WeakSet<AbortSignal>()
  #current: ClientHttp2Session | undefined
  #pinging: NodeJS.Timeout | undefined

  constructor(options: Http2Options) {
    this.#options = options
  }

  /** Rejects where there is no answer within the time limit. */
  post(headers: OutgoingHttpHeaders, body: string, signal: AbortSignal): Promise<Http2Answer> {
    const session = this.#session()
    const { promise, resolve, reject } = Promise.withResolvers<Http2Answer>()
    let request: ClientHttp2Stream
    try {
      request = session.request({ ':method': 'POST', 'content-length': Buffer.byteLength(body), ...headers })
    } catch (error) {
      this.#retire(session)
      return Promise.reject(error as Error)
    }
    const cancel = (reason: string) => {
      reject(new Error(reason))
      request.close(constants.NGHTTP2_CANCEL)
    }
    const timer = setTimeout(() => {
      this.#retire(session)
      cancel(`no answer in ${this.#options.timeoutMs} ms`)
    }, this.#options.timeoutMs)
    this.#watch(signal)
    this.#cancels.add(cancel)
    let status = 0
    let answered: Http2Answer['headers'] = {}
    let text = ''
    request.setEncoding('utf8')
    request.on('response', ({ ':status': code, ...rest }) => {
      status = code ?? 0
      answered = rest as Http2Answer['headers']
    })
    request.on('data', (chunk: string) => {
      text += chunk
      if (text.length > longestAnswer) cancel('a long answer')
    })
    request.on('error', reject)
    request.on('close', () => {
      clearTimeout(timer)
      this.#cancels.delete(cancel)
      if (status && request.rstCode === constants.NGHTTP2_NO_ERROR) resolve({ status, headers: answered, text })
      else reject(new Error(`the stream was closed with ${request.rstCode}`))
    })
    request.end(body)
    return promise
  }

  /** Ends all sessions after their requests. */
  async close(): Promise<void> {
    clearInterval(this.#pinging)
    await Promise.all(
      [...this.#sessions].map((session) => {
        // Not by the callback of `session.close`: that is never called for a session that ends already.
        const ended = new Promise((resolve) => session.once('close', resolve))
        this.#retire(session)
        return ended
      }),
    )
  }

  /** A listener for each request would cost more than the request. */
  #watch(signal: AbortSignal): void {
    if (this.#signals.has(signal)) return
    this.#signals.add(signal)
    const abort = () => {
      for (const cancel of this.#cancels) cancel('the service ends')
    }
    signal.addEventListener('abort', abort, { once: true })
  }

  #session(): ClientHttp2Session {
    if (this.#current && !this.#current.closed && !this.#current.destroyed) return this.#current
    const { url, ca, certificate, timeoutMs } = this.#options
    const session = connect(url, { ...certificate, ...(ca ? { ca: [...rootCertificates, ca] } : {}) })
    this.#sessions.add(session)
    this.#current = session
    const connecting = setTimeout(() => session.destroy(new Error('no connection in time')), timeoutMs)
    session.once('connect', (_session, socket) => {
      clearTimeout(connecting)
      this.#sockets.set(session, socket)
    })
    session.on('goaway', () => this.#retire(session))
    // The requests of the session tell their callers.
    session.on('error', () => this.#retire(session))
    session.on('close', () => {
      clearTimeout(connecting)
      if (this.#current === session) this.#current = undefined
      this.#sessions.delete(session)
    })
    this.#pinging ??= setInterval(() => this.#ping(), pingEveryMs).unref()
    return session
  }

  /** It takes no more requests, and ends with those that run. After their time limit it is cut: a server may never end its side. */
  #retire(session: ClientHttp2Session): void {
    if (this.#current === session) this.#current = undefined
    if (this.#retired.has(session)) return
    this.#retired.add(session)
    session.close()
    const late = setTimeout(() => {
      session.destroy()
      this.#sockets.get(session)?.destroy()
    }, this.#options.timeoutMs)
    session.once('close', () => clearTimeout(late))
  }

  #ping(): void {
    const session = this.#current
    if (!session || session.connecting) return
    const late = setTimeout(() => session.destroy(), this.#options.timeoutMs)
    session.ping((error) => {
      clearTimeout(late)
      if (error) this.#retire(session)
    })
  }
}
