import { collectDefaultMetrics, Registry } from 'prom-client'

export { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** A registry of one service's metrics; process metrics included when the service has its process for itself. */
export function createMetrics(service: string, withProcessMetrics = true): Registry {
  const registry = new Registry()
  registry.setDefaultLabels({ service })
  if (withProcessMetrics) collectDefaultMetrics({ register: registry })
  return registry
}
