import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connectRedis } from '@im/service-kit'
import { eventually } from '@im/service-kit/testing'
import { cpuSeconds } from '../process-usage.ts'

export interface Target {
  name: string
  url: string
  /** CPU seconds used so far. */
  cpu(): Promise<number>
  close(): Promise<void>
}

/** What the upstream answers to everything, and what must come through. */
export const answer = '{"currentTime":1559788026732,"data":{"nickname":"alice","userId":10000001},"resultCode":1}'

async function run(name: string, url: string, command: string, args: string[], env = process.env): Promise<Target> {
  const child: ChildProcess = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
  await eventually(async () => (await fetch(`${url}/healthz`)).status < 500)
  return {
    name,
    url,
    async cpu() {
      // nginx works in a child of the process that was started.
      const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').catch(() => '')
      const pids = [child.pid ?? 0, ...children.trim().split(' ').filter(Boolean).map(Number)]
      const used = await Promise.all(pids.map(cpuSeconds))
      return used.reduce((sum, seconds) => sum + seconds, 0)
    },
    async close() {
      if (child.exitCode !== null || child.signalCode) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

async function nginx(name: string, folder: string, port: number, server: string): Promise<Target> {
  const file = join(folder, `${name}.conf`)
  const config = `daemon off;
worker_processes 1;
pid ${join(folder, `${name}.pid`)};
error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
  uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
${server}
}
`
  await writeFile(file, config)
  return run(name, `http://127.0.0.1:${port}`, 'nginx', ['-p', folder, '-c', file])
}

/** A service that costs almost nothing, so that what is measured is what stands before it. */
export function startUpstream(folder: string, port: number): Promise<Target> {
  return nginx(
    'upstream',
    folder,
    port,
    `server {
  listen 127.0.0.1:${port} backlog=4096;
  location = /auth { return 204; }
  location / { default_type 'application/json;charset=UTF-8'; return 200 '${answer}'; }
}`,
  )
}

/** nginx asking the upstream whether each request may pass. */
export function startAuthRequest(folder: string, port: number, upstream: string): Promise<Target> {
  return nginx(
    'auth-request',
    folder,
    port,
    `upstream service { server ${new URL(upstream).host}; keepalive 256; keepalive_requests 1000000; }
server {
  listen 127.0.0.1:${port} backlog=4096;
  proxy_http_version 1.1;
  proxy_set_header Connection '';
  location = /auth { internal; proxy_pass http://service/auth; proxy_pass_request_body off; proxy_set_header Content-Length ''; }
  location / { auth_request /auth; proxy_pass http://service; }
}`,
  )
}

export function startBareProxy(port: number, upstream: string): Promise<Target> {
  const file = join(import.meta.dirname, 'bare-proxy.ts')
  return run('http-proxy', `http://127.0.0.1:${port}`, process.execPath, [file, upstream, String(port)])
}

/** How our gateway is started: as it is, or with all calls carried by the library. */
const gateways = {
  gateway: '../../../services/gateway/src/main.ts',
  'all-streamed': 'all-streamed.ts',
}

/** Our gateway, with limits counted and high, a log line for each call, and live sessions of the given tokens in Redis. */
export async function startGateway(
  name: keyof typeof gateways,
  port: number,
  operationsPort: number,
  upstream: string,
  tokens: readonly string[],
): Promise<Target> {
  const env = {
    ...process.env,
    PORT: String(port),
    OPERATIONS_PORT: String(operationsPort),
    NAMESPACE: `b${randomBytes(4).toString('hex')}`,
    LOG_LEVEL: 'info',
    LIMIT_FACTOR: '10000',
    USER_URL: upstream,
    MESSAGE_URL: upstream,
  }
  const redis = await connectRedis({
    url: process.env['REDIS_URL'] ?? 'redis://127.0.0.1:6379',
    namespace: env.NAMESPACE,
  })
  for (const [index, token] of tokens.entries()) {
    const session = { userId: 10000001 + index, device: 'android', kind: 'user', expiresAt: Date.now() + 600_000 }
    const id = createHash('sha256').update(token).digest('hex')
    await redis.set(`session:${id}`, JSON.stringify(session), 'PX', 600_000)
  }
  redis.disconnect()
  const file = join(import.meta.dirname, gateways[name])
  return run(name, `http://127.0.0.1:${port}`, process.execPath, [file], env)
}
