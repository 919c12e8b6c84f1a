/** The gateway with every call carried by @fastify/reply-from, as bodies that stream are: what its own way is measured against. */
import { endpoints, isInternalOnly } from '@im/contracts'
import { service } from '@im/gateway'
import { runProcess } from '@im/service-kit'

const streamed = endpoints
  .filter(({ auth }) => !isInternalOnly(auth))
  .map((endpoint) => (endpoint.service === 'gateway' ? endpoint : { ...endpoint, body: 'stream' as const }))

await runProcess({
  readConfig: service.readConfig,
  start: (env) => service.start(env, { endpoints: streamed }),
})
