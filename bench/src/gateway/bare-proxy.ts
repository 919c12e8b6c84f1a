/** What the gateway is measured against: @fastify/http-proxy as it comes, no check of anything. argv: upstream, port. */
import httpProxy from '@fastify/http-proxy'
import Fastify from 'fastify'

const [upstream = '', port = '0'] = process.argv.slice(2)
const app = Fastify()
await app.register(httpProxy, { upstream })
await app.listen({ host: '127.0.0.1', port: Number(port) })
