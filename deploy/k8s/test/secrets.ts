import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import type { overlays } from './manifests.ts'

const made = execFileSync('sh', [join(import.meta.dirname, '../../secrets.sh')], { encoding: 'utf8' })

/** The keys of `im-secrets` as README.md makes them. */
export function secretsOf(overlay: (typeof overlays)[number]): Record<string, string> {
  const lines = made.split('\n').filter((line) => line.includes('=') && !line.startsWith('#'))
  const secrets = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
  return {
    ...secrets,
    ...(overlay === 'small'
      ? {
          MONGODB_URL: 'mongodb://mongodb:27017/?replicaSet=rs0',
          REDIS_URL: `redis://:${secrets['REDIS_PASSWORD']}@redis:6379`,
        }
      : {
          MONGODB_URL: 'mongodb://im:password@mongo-0.example.com:27017/?replicaSet=rs0&tls=true',
          REDIS_URL: 'rediss://:password@redis.example.com:6380',
          S3_ACCESS_KEY_ID: 'files',
          S3_SECRET_ACCESS_KEY: 'secret-of-the-bucket',
        }),
  }
}
