/** The gateway with every call carried by @fastify/reply-from, as bodies that stream are: what its own way is measured against. */
import { type Endpoint, endpoints, isInternalOnly } from '@im/contracts'
import { service } from '@im/gateway'
import { runProcess } from '@im/service-kit'

/** Our own pages and what the gateway answers itself are not measured, and stay as they are. */
const staysWhole = ({ service: owner, site }: Endpoint) => owner === 'gateway' || site !== undefined

const streamed = endpoints
  .filter(({ auth }) => !isInternalOnly(auth))
  .map((endpoint) => (staysWhole(endpoint) ? endpoint : { ...endpoint, body: 'stream' as const }))

await runProcess({
  readConfig: service.readConfig,
  start: (env) => service.start(env, { endpoints: streamed }),
})
