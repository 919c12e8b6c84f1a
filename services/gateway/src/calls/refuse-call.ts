import { setTimeout as delay } from 'node:timers/promises'
import { asContractError, dropRest, sendError } from '@im/service-kit'
import type { FastifyReply } from 'fastify'
import type { Deps } from '../deps.ts'
import type { IncomingCall } from './incoming-call.ts'
import { declaredLength } from './read-body.ts'

/** The rest of an unread body up to this size (bytes) is read and dropped, so that the connection can be used again. */
const longestDropped = 64 * 1024

/** RateLimited is answered this much later (ms), which slows clients that call again as soon as they are answered. */
const waitAtLimit = 100

/** Answers a call that did not reach its service, in the form of its endpoint. Returns the name of the error. */
export async function refuseCall(
  { log, refused }: Deps,
  call: IncomingCall,
  reply: FastifyReply,
  error: unknown,
): Promise<string> {
  const { request, endpoint } = call
  const failure = asContractError(error, request.id, log, endpoint.path)
  refused.inc({ error: failure.errorName })
  if (failure.errorName === 'RateLimited') await delay(waitAtLimit)
  const isLong = (declaredLength(request.raw) ?? Number.POSITIVE_INFINITY) > longestDropped
  // An app that still sends a photo would read of a closed connection nothing, not even that its session has ended.
  if (endpoint.body === 'stream') dropRest(request.raw)
  else if (isLong && !request.raw.complete) reply.header('connection', 'close')
  sendError(reply, failure, await call.language(), endpoint.answer)
  return failure.errorName
}
