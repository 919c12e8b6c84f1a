import { Counter, Gauge, Histogram, type Registry } from '@im/service-kit'
import type { Delivery, ProviderName } from './provider.ts'

/** What the channels count, by provider. */
export class ChannelMetrics {
  readonly #seconds: Histogram<'provider'>
  /** Not yet in the counter: it would cost each push more than a number does. */
  readonly #uncounted = new Map<ProviderName, Map<Delivery['kind'], number>>()
  readonly #timers = new Map<ProviderName, Histogram.Internal<'provider'>>()
  readonly #watched = new Map<ProviderName, () => { waiting: number; isOpen: boolean }>()

  constructor(registry: Registry) {
    const registers = [registry]
    const watched = this.#watched
    const uncounted = this.#uncounted
    new Counter({
      name: 'im_push_sent_total',
      help: 'What became of notifications, for each device they were meant for',
      labelNames: ['provider', 'outcome'],
      registers,
      collect() {
        for (const [provider, outcomes] of uncounted)
          for (const [outcome, times] of outcomes) this.inc({ provider, outcome }, times)
        uncounted.clear()
      },
    })
    this.#seconds = new Histogram({
      name: 'im_push_call_seconds',
      help: 'Time of the calls to push providers',
      labelNames: ['provider'],
      buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    })
    new Gauge({
      name: 'im_push_waiting',
      help: 'Devices that wait for a call to their push provider, or for its answer',
      labelNames: ['provider'],
      registers,
      collect() {
        for (const [provider, state] of watched) this.set({ provider }, state().waiting)
      },
    })
    new Gauge({
      name: 'im_push_circuit_open',
      help: '1 while a push provider refuses our credentials',
      labelNames: ['provider'],
      registers,
      collect() {
        for (const [provider, state] of watched) this.set({ provider }, state().isOpen ? 1 : 0)
      },
    })
  }

  watch(provider: ProviderName, state: () => { waiting: number; isOpen: boolean }): void {
    this.#watched.set(provider, state)
  }

  count(provider: ProviderName, outcome: Delivery['kind'], times = 1): void {
    const outcomes = this.#uncounted.get(provider) ?? new Map<Delivery['kind'], number>()
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + times)
    this.#uncounted.set(provider, outcomes)
  }

  time(provider: ProviderName, ms: number): void {
    const timer = this.#timers.get(provider) ?? this.#seconds.labels(provider)
    this.#timers.set(provider, timer)
    timer.observe(ms / 1000)
  }
}
