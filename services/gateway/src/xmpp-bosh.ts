import { asContractError } from '@im/service-kit'
import type { FastifyInstance } from 'fastify'
import { corsHeaders } from './cors.ts'
import type { Deps } from './deps.ts'

/** BOSH (XEP-0124): long polls to the XMPP server. An HTTP status tells its clients more than an envelope. */
export function addBosh(app: FastifyInstance, { bosh, addressOf, log }: Deps): void {
  app.route({
    url: '/http-bind',
    method: ['GET', 'POST'],
    handler: (request, reply) => {
      const headers = {
        'content-type': request.headers['content-type'] ?? 'text/xml; charset=utf-8',
        'x-forwarded-for': addressOf(request.raw),
      }
      const body = Buffer.isBuffer(request.body) ? request.body : undefined
      bosh
        .forward({ method: request.method as 'GET' | 'POST', path: '/http-bind', headers, body }, reply.raw, {
          ...corsHeaders,
          'x-request-id': request.id,
        })
        .catch((error) => {
          asContractError(error, request.id, log, '/http-bind')
          reply.code(503).header('x-request-id', request.id).header('retry-after', '2').send('')
        })
    },
  })
}
