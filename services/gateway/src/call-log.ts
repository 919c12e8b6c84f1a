import type { Logger } from '@im/service-kit'
import type { IncomingCall } from './calls/incoming-call.ts'

/** Logs one line for each call, for reports of abuse: who called what, from where, and with which outcome. */
export class CallLog {
  readonly #log: Logger

  constructor(log: Logger) {
    this.#log = log
  }

  write({ request, endpoint, ip, caller, startedAt }: IncomingCall, outcome: string): void {
    if (!this.#log.isLevelEnabled('info')) return
    const ms = Math.round((performance.now() - startedAt) * 10) / 10
    this.#log.info({ requestId: request.id, path: endpoint.path, outcome, userId: caller?.userId, ip, ms }, 'call')
  }

  async close(): Promise<void> {
    this.#log.flush()
  }
}
