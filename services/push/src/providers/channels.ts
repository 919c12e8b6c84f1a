import type { Runtime } from '@im/service-kit'
import type { PushConfig } from '../config.ts'
import { type ChannelLimits, channelLimits, ProviderChannel } from './channel.ts'
import { ChannelMetrics } from './channel-metrics.ts'
import { definitions } from './definitions.ts'
import type { Channel, Channels, ProviderName } from './provider.ts'
import { isConfigured, ProviderTools } from './provider-definition.ts'

/** Makes the channels of the providers that are configured. */
export function createChannels(
  runtime: Pick<Runtime<PushConfig>, 'config' | 'optionalRedis' | 'log' | 'metrics' | 'now'>,
  own: Partial<ChannelLimits> = {},
): Channels {
  const { config, log, now } = runtime
  const tools = new ProviderTools(runtime)
  const metrics = new ChannelMetrics(runtime.metrics)
  const limits = { ...channelLimits, concurrency: config.pushConcurrency, waiting: config.pushWaiting, ...own }
  const channels = new Map<ProviderName, ProviderChannel>()
  for (const definition of definitions.filter((one) => isConfigured(one, config)))
    for (const provider of definition.create(config as never, tools))
      channels.set(provider.name, new ProviderChannel({ provider, limits, log, metrics, now }))
  return {
    of: (provider) => channels.get(provider) ?? skippingChannel(provider, metrics),
    async close() {
      await Promise.all([...channels.values()].map((channel) => channel.close()))
    },
  }
}

/** A provider that is not configured. */
const skippingChannel = (name: ProviderName, metrics: ChannelMetrics): Channel => ({
  name,
  isConfigured: false,
  replaces: false,
  async send(_notification, targets) {
    metrics.count(name, 'skipped', targets.length)
    return targets.map(() => ({ kind: 'skipped' }))
  },
})
