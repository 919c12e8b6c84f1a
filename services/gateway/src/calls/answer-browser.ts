import { ContractError, type Endpoint, errors, type Method } from '@im/contracts'
import { asContractError, csrfTokenOf, firstText, outcomeHeader, queryOf, type RawParams } from '@im/service-kit'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { request as send } from 'undici'
import { type PeerName, serviceUrl } from '../config.ts'
import type { Deps } from '../deps.ts'
import type { Page } from '../pages/page.ts'
import { admitCall } from './admit-call.ts'
import type { Outcome } from './answer.ts'
import { IncomingCall } from './incoming-call.ts'
import { serviceHeaders } from './service-headers.ts'

/** Searched, not parsed: a long query may have a hundred thousand parameters. */
const tokenParameter = /(?:^|&)access_token(?:=|&|$)/
const urlencoded = /^application\/x-www-form-urlencoded\s*(;|$)/i

/** Whether a browser opens one of our pages or sends a form of it (transport.md §7). */
export function isBrowser({ site }: Endpoint, { method, headers, raw }: FastifyRequest): boolean {
  if (!site || !headers.accept?.includes('text/html')) return false
  if (method === 'POST') return urlencoded.test(headers['content-type'] ?? '')
  return !tokenParameter.test(queryOf(raw.url ?? ''))
}

/**
 * Answers a browser. One that opens a page gets it. One that sends a form is redirected to the next page, or gets the page again
 * with the text of the error. Without a session it is redirected to the login.
 */
export async function answerBrowser(
  deps: Deps,
  page: Page,
  endpoint: Endpoint,
  request: FastifyRequest,
  url: string,
  reply: FastifyReply,
): Promise<void> {
  const isForm = request.method === 'POST'
  // Opening a page changes nothing, even where a call of the endpoint would.
  const call = new IncomingCall(isForm ? endpoint : { ...endpoint, safe: true }, request, deps.config.serviceKeys)
  let outcome: Outcome = 'Success'
  try {
    await admitCall(deps, call)
    if (isForm) outcome = await sendForm(deps, page, call, url, reply)
    else showPage(page, call, reply)
  } catch (error) {
    const failure = asContractError(error, request.id, deps.log, endpoint.path)
    outcome = failure.errorName
    deps.refused.inc({ error: outcome })
    refuse(page, call, reply, { code: failure.code, text: failure.textIn(await call.language()) })
  }
  call.end()
  deps.callLog.write(call, outcome)
}

async function sendForm(
  deps: Deps,
  page: Page,
  call: IncomingCall,
  url: string,
  reply: FastifyReply,
): Promise<Outcome> {
  const { endpoint } = call
  const { resultCode, resultMsg = '', cookies, outcome } = await askService(deps, call, url)
  if (resultCode !== 1) refuse(page, call, reply, { code: resultCode, text: resultMsg })
  else {
    if (cookies.length) reply.header('set-cookie', cookies)
    reply.redirect(pageAfter(endpoint, await call.params()), 303)
  }
  return outcome
}

async function askService(deps: Deps, call: IncomingCall, url: string) {
  const { endpoint, request, body } = call
  try {
    const answer = await send(serviceUrl(deps.config, endpoint.service as PeerName) + url, {
      method: request.method as Method,
      headers: serviceHeaders(deps, call, url),
      body: body ?? null,
      dispatcher: deps.streamAgent,
      signal: AbortSignal.timeout(endpoint.timeoutMs ?? deps.config.serviceTimeoutMs),
    })
    deps.sessions.hearAnswer(answer.headers)
    const { resultCode, resultMsg } = (await answer.body.json()) as { resultCode: number; resultMsg?: string }
    const cookies = [answer.headers['set-cookie'] ?? []].flat()
    return { resultCode, resultMsg, cookies, outcome: String(answer.headers[outcomeHeader] ?? resultCode) }
  } catch (cause) {
    deps.log.warn({ err: cause, requestId: request.id, path: endpoint.path }, 'a form was not answered')
    throw new ContractError('ServiceUnavailable', { cause })
  }
}

/** The page that the contract names, filled with values of the form: `/console/roomUserManager?id=:roomId`. */
function pageAfter({ page, path }: Endpoint, params: RawParams): string {
  const [target = '', query = ''] = (page ?? path).split('?')
  const filled = new URLSearchParams()
  for (const [name, value] of new URLSearchParams(query)) {
    const text = value.startsWith(':') ? firstText(params, value.slice(1)) : value
    if (text !== undefined) filled.set(name, text)
  }
  return filled.size ? `${target}?${filled}` : target
}

function refuse(page: Page, call: IncomingCall, reply: FastifyReply, error: { code: number; text: string }): void {
  const isSignedOut = error.code === errors.TokenMissing.code || error.code === errors.TokenInvalid.code
  if (isSignedOut) reply.redirect(`/${call.endpoint.site}/login`, 303)
  else showPage(page, call, reply, error.text)
}

const pageHeaders = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'referrer-policy': 'same-origin',
}

function showPage(page: Page, { caller, token, request }: IncomingCall, reply: FastifyReply, error?: string): void {
  const csrfToken = caller && token?.byCookie ? csrfTokenOf(token.text) : undefined
  reply.headers(pageHeaders).header('x-request-id', request.id)
  reply.send(page.show({ csrfToken, error }))
}
