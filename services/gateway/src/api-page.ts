import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { openApiDocument } from '@im/contracts'
import type { FastifyInstance } from 'fastify'
import { outerEndpoints } from './outer-endpoints.ts'

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

type Document = { paths: Record<string, { get?: object; post?: object }> }

/** An endpoint that takes GET and POST is shown once. */
function onePerPath(document: Document): Document {
  const paths = Object.entries(document.paths).map(([path, { get, ...others }]) => [
    path,
    others.post || !get ? others : { get, ...others },
  ])
  return { ...document, paths: Object.fromEntries(paths) }
}

/** The API page below /docs, over the document that is derived from the contracts. Tokens that are entered are not stored. */
export function addApiPage(app: FastifyInstance): void {
  app.register(async (scope) => {
    const document = onePerPath(openApiDocument(outerEndpoints) as Document)
    await scope.register(swagger, { mode: 'static', specification: { document: document as never } })
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
