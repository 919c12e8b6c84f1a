import { setTimeout as delay } from 'node:timers/promises'

/** Wakes the sender when an order was asked for, here or in another replica. */
export function createWaiting() {
  let wakeUp = () => {}
  let rung = false
  return {
    ring(): void {
      rung = true
      wakeUp()
    },
    /** Resolves when rung (also before), aborted or after `timeout` ms. */
    async wait(timeout: number, signal: AbortSignal): Promise<void> {
      if (!rung) {
        const woken = new AbortController()
        wakeUp = () => woken.abort()
        await delay(timeout, undefined, { signal: AbortSignal.any([woken.signal, signal]) }).catch(() => {})
      }
      rung = false
    },
  }
}
