/** Starts the servers alone, for whoever runs one service or its tests by hand. */
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { streamReporter } from '../reporter.ts'
import { type ServerName, startServers } from './index.ts'

const { values } = parseArgs({
  options: {
    data: { type: 'string', default: '.data/servers' },
    xmpp: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  console.log(`npm run servers -- [--data <folder>] [--xmpp]

Starts MongoDB, Redis and NATS (and Prosody with --xmpp) on free ports, prints an export line for each setting that
services read, and runs until Ctrl-C. Prosody is told the USER_URL and SERVICE_KEY of the environment.`)
} else {
  const names: ServerName[] = values.xmpp ? ['mongodb', 'redis', 'nats', 'prosody'] : ['mongodb', 'redis', 'nats']
  const servers = await startServers({
    dataDir: resolve(values.data),
    ports: 'free',
    env: process.env,
    servers: names,
    report: streamReporter(),
  }).catch((cause: Error) => {
    console.error(cause.message)
    process.exit(1)
  })
  for (const [name, value] of Object.entries(servers.env)) console.log(`export ${name}='${value}'`)
  const stop = () => void servers.close().then(() => process.exit(0))
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}
