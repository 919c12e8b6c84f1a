import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { endpoints, openApiDocument } from '@im/contracts'
import type { FastifyInstance } from 'fastify'

const page = `<!doctype html>
<html lang="zh">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>盈创 IM API</title>
<link rel="icon" type="image/png" href="/docs/favicon.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="stylesheet" href="/docs/page.css">
<script defer src="/docs/swagger-ui-bundle.js"></script>
<script defer src="/docs/start.js"></script>
</head>
<body><div id="api"></div></body>
</html>
`

const start = `SwaggerUIBundle({
  url: '/docs/openapi.json',
  dom_id: '#api',
  docExpansion: 'list',
  defaultModelsExpandDepth: -1,
  filter: true,
  deepLinking: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
})
`

/** One server and one version: no choice to show. What is left is closer together, and fits on a phone. */
const style = `body { margin: 0; }
.swagger-ui .info { margin: 24px 0 8px; }
.swagger-ui .info .title small { display: none; }
.swagger-ui .scheme-container { margin: 0; padding: 8px 0; box-shadow: none; background: none; }
.swagger-ui .servers-title, .swagger-ui .servers { display: none; }
.swagger-ui .opblock-tag { font-size: 18px; padding: 6px 12px; }
.swagger-ui .opblock { margin: 0 0 6px; }
.swagger-ui .opblock .opblock-summary-path { max-width: none; }
.swagger-ui .filter .operation-filter-input { margin: 8px 0; }
@media (max-width: 640px) {
  .swagger-ui .opblock .opblock-summary { flex-wrap: wrap; }
  .swagger-ui .wrapper { padding: 0 8px; }
  .swagger-ui .filter .operation-filter-input { width: 100%; }
}
`

/** Everything the page needs comes from here: it works on a network without internet. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"

const asset = (name: string) => () => readFile(createRequire(import.meta.url).resolve(`swagger-ui-dist/${name}`))

/** The API page over the document that is derived from the contracts. */
export function addDocsPage(app: FastifyInstance): void {
  const files: [path: string, type: string, text: () => string | Promise<Buffer>][] = [
    ['/docs', 'text/html; charset=utf-8', () => page],
    ['/docs/start.js', 'text/javascript; charset=utf-8', () => start],
    ['/docs/page.css', 'text/css; charset=utf-8', () => style],
    ['/docs/favicon.png', 'image/png', asset('favicon-32x32.png')],
    ['/docs/swagger-ui.css', 'text/css; charset=utf-8', asset('swagger-ui.css')],
    ['/docs/swagger-ui-bundle.js', 'text/javascript; charset=utf-8', asset('swagger-ui-bundle.js')],
    [
      '/docs/openapi.json',
      'application/json; charset=utf-8',
      () => JSON.stringify(openApiDocument(endpoints, { internal: false })),
    ],
  ]
  for (const [path, type, text] of files) {
    const body = once(async () => {
      const content = await text()
      const plain = typeof content === 'string' ? Buffer.from(content) : content
      return { plain, packed: await promisify(gzip)(plain) }
    })
    app.get(path, async (request, reply) => {
      const { plain, packed } = await body()
      reply.headers({ 'content-type': type, 'content-security-policy': policy, 'cache-control': 'max-age=300' })
      reply.headers({ 'x-request-id': request.id, vary: 'accept-encoding' })
      if (!/\bgzip\b/.test(String(request.headers['accept-encoding']))) return reply.send(plain)
      return reply.header('content-encoding', 'gzip').send(packed)
    })
  }
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make()
    return made
  }
}
