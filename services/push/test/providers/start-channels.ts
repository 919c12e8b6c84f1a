import { connectRedis, createMetrics, type Logger, OptionalRedis } from '@im/service-kit'
import { dropNamespace, testEnv } from '@im/service-kit/testing'
import type { Test } from 'tap'
import type { ChannelLimits } from '../../src/providers/channel.ts'
import { createChannels } from '../../src/providers/channels.ts'
import type { Notification, ProviderName, Target } from '../../src/providers/provider.ts'
import { service } from '../../src/service.ts'

export interface LogLine {
  level: 'info' | 'warn' | 'error'
  text: string
  details: Record<string, unknown>
}

/** A log that keeps its lines. */
export function recordLog(): { log: Logger; lines: LogLine[] } {
  const lines: LogLine[] = []
  const write =
    (level: LogLine['level']) =>
    (...given: unknown[]) => {
      const [details, text] = typeof given[0] === 'string' ? [{}, given[0]] : given
      lines.push({ level, text: String(text), details: details as Record<string, unknown> })
    }
  const log = { info: write('info'), warn: write('warn'), error: write('error'), child: () => log }
  return { log: log as unknown as Logger, lines }
}

/** Waits so short that tests are quick. */
export const quickLimits: Partial<ChannelLimits> = { retryMs: 10, slowMs: 50, circuitMs: 300, closeMs: 500 }

/** The channels of a push service with these settings, on the shared Redis. */
export async function startChannels(
  t: Test,
  env: Record<string, string>,
  options: { limits?: Partial<ChannelLimits>; namespace?: string; now?: () => number } = {},
) {
  const { limits, namespace, now = Date.now } = options
  const whole = testEnv({ PUSH_TIMEOUT_MS: '10000', ...(namespace ? { NAMESPACE: namespace } : {}), ...env })
  const config = service.readConfig(whole)
  const { log, lines } = recordLog()
  const metrics = createMetrics('push')
  const redis = await connectRedis({ url: config.redisUrl, namespace: config.namespace })
  const optionalRedis = new OptionalRedis({ redis, log, metrics })
  const channels = createChannels({ config, log, metrics, optionalRedis, now }, { ...quickLimits, ...limits })
  t.after(async () => {
    await channels.close()
    redis.disconnect()
    await dropNamespace(whole)
  })
  return {
    channels,
    redis,
    namespace: config.namespace,
    lines,
    metric: (name: string) => metrics.getSingleMetricAsString(name),
    send: (provider: ProviderName, targets: Target[], notification: Partial<Notification> = {}) =>
      channels.of(provider).send(makeNotification(notification), targets),
  }
}

let made = 0

export const makeNotification = (given: Partial<Notification> = {}): Notification => ({
  id: (++made).toString(16).padStart(32, '0'),
  title: '李雷',
  body: '李雷:今天 5pm 见*~\'()! 👍 a&b=c+d%20"',
  badge: 3,
  threadId: '10000001',
  kind: 'message',
  data: { from: '10000001', to: '10000002', messageType: '1', timeSend: '1780000000.123', fromUserName: '李雷 & 👍' },
  expiresAt: Date.now() + 3_600_000,
  ...given,
})

export const target = (token: string, given: Partial<Target> = {}): Target => ({
  token,
  device: 'android',
  registeredAt: Date.now() - 60_000,
  ...given,
})
