import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { openApiDocument } from '@im/contracts'
import type { FastifyInstance } from 'fastify'
import type { Deps } from './deps.ts'

/** Everything the page needs comes from here: it works on a network without internet. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

/** The API page below /docs, over the document that is derived from the contracts. Tokens that are entered are not stored. */
export function addApiPage(app: FastifyInstance, { endpoints }: Deps): void {
  app.register(async (scope) => {
    const document = openApiDocument(endpoints) as never
    await scope.register(swagger, { mode: 'static', specification: { document } })
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: policy,
      theme: { title: '盈创 IM API' },
      uiConfig: {
        docExpansion: 'list',
        defaultModelsExpandDepth: -1,
        filter: true,
        tryItOutEnabled: true,
        persistAuthorization: false,
      },
    })
  })
}
