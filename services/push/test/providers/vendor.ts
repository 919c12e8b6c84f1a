import { createServer, type IncomingHttpHeaders } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import type { ProviderName, PushDevice } from '../../src/providers/provider.ts'
import type { Certificate } from './certificates.ts'

/** What can go wrong on the way to any server. `503`, `429`: with `Retry-After: 1`. */
export type Trouble = 'hangs' | 'cuts' | 'html' | '500' | '503' | '429'

/** A notification as a device would show it. */
export interface Shown {
  token: string
  title: string
  body: string
  badge?: number
  data: Record<string, string>
  /** Whatever else the test of one vendor wants to see. */
  more: Record<string, unknown>
}

/** A push service on this machine, which refuses what the real one refuses. */
export interface Vendor {
  provider: ProviderName
  /** Settings that lead to it. */
  env: Record<string, string>
  /** Settings with a secret that it does not know. */
  wrongEnv: Record<string, string>
  device: PushDevice
  /** A token of a device. */
  token(number: number): string
  /** The next calls end like this, one each. */
  troubles: Trouble[]
  /** What it answers for a token, by the vendor's code. */
  answers: Map<string, string>
  /** The code that says that a token is dead. */
  deadCode: string
  shown: Shown[]
  /** Why calls were refused that the real service would refuse. */
  problems: string[]
  /** Calls that send, and calls for an access token. */
  calls: { send: number; access: number }
  /** The access tokens that were given are not good any more. */
  expireAccess?: () => void
  /** Each user names a server: what one does says nothing about the others, and only the status of an answer counts. */
  isNamedByUsers?: boolean
}

export interface VendorCall {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
  bytes: Buffer
  json(): Record<string, unknown>
  form(): Record<string, string>
}

export interface VendorAnswer {
  status?: number
  headers?: Record<string, string>
  body?: object | string
}

/** Thrown where the real service would refuse a call. */
export class Problem extends Error {
  readonly answer: VendorAnswer

  constructor(text: string, answer: VendorAnswer) {
    super(text)
    this.answer = answer
  }
}

/** Throws a Problem unless `condition` holds. */
export function demand(condition: unknown, text: string, answer: VendorAnswer): asserts condition {
  if (!condition) throw new Problem(text, answer)
}

const troubleAnswers: Partial<Record<Trouble, VendorAnswer>> = {
  html: { headers: { 'content-type': 'text/html' }, body: '<html>502 Bad Gateway</html>' },
  '500': { status: 500, body: '' },
  '503': { status: 503, headers: { 'retry-after': '1' }, body: '' },
  '429': { status: 429, headers: { 'retry-after': '1' }, body: '' },
}

/** Starts an HTTP server until the end of the test. Troubles are met by the calls that send. */
export async function startVendorServer(
  t: Test,
  vendor: Pick<Vendor, 'troubles' | 'problems' | 'calls'>,
  options: {
    isSend(path: string): boolean
    answer(call: VendorCall): VendorAnswer | Promise<VendorAnswer>
    certificate?: Certificate
  },
): Promise<string> {
  const { isSend, answer, certificate } = options
  const server = certificate ? createTlsServer(certificate) : createServer()
  server.on('request', async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const bytes = Buffer.concat(parts)
    const body = bytes.toString('utf8')
    const path = request.url ?? ''
    const reply = ({ status = 200, headers, body: text = '' }: VendorAnswer) => {
      const isText = typeof text === 'string'
      response.writeHead(status, { ...(isText ? {} : { 'content-type': 'application/json' }), ...headers })
      response.end(isText ? text : JSON.stringify(text))
    }
    if (isSend(path)) {
      vendor.calls.send++
      const trouble = vendor.troubles.shift()
      if (trouble === 'hangs') return
      if (trouble === 'cuts') return void request.socket.destroy()
      if (trouble) return reply(troubleAnswers[trouble] as VendorAnswer)
    } else vendor.calls.access++
    try {
      reply(
        await answer({
          method: request.method ?? '',
          path,
          headers: request.headers,
          body,
          bytes,
          json: () => JSON.parse(body) as Record<string, unknown>,
          form: () => Object.fromEntries(new URLSearchParams(body)),
        }),
      )
    } catch (error) {
      vendor.problems.push((error as Error).message)
      reply(error instanceof Problem ? error.answer : { status: 400, body: { error: String(error) } })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return `${certificate ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** The parts that are the same for all. */
export const vendorParts = () => ({
  troubles: [] as Trouble[],
  answers: new Map<string, string>(),
  shown: [] as Shown[],
  problems: [] as string[],
  calls: { send: 0, access: 0 },
})

/** Access tokens as servers give them out: none is good that was not given, or that was made to expire. */
export class GivenTokens {
  #good = new Set<string>()
  #made = 0

  give(): string {
    const token = `access-${++this.#made}-${Math.random().toString(36).slice(2)}`
    this.#good.add(token)
    return token
  }

  has(token: string | undefined): boolean {
    return token !== undefined && this.#good.has(token)
  }

  expire(): void {
    this.#good.clear()
  }
}
