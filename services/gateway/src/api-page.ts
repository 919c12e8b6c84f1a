import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { openApiDocument } from '@im/contracts'
import type { FastifyInstance } from 'fastify'
import type { Deps } from './deps.ts'

/** The page loads everything from this server, so it works without internet. */
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

/** Adds the API page below /docs, made from the contracts. It does not store the tokens that are entered. */
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
