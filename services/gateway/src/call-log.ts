import type { Logger } from '@im/service-kit'
import type { IncomingCall } from './calls/incoming-call.ts'

/** One line for each call, to answer for abuse: who called what, from where, and what came of it. */
export class CallLog {
  readonly #log: Logger

  constructor(log: Logger) {
    // Its fields are these and hold no secret: looking for one in each line would cost more than the call itself.
    this.#log = log.child({}, { redact: [] })
  }

  write({ request, endpoint, ip, caller, startedAt }: IncomingCall, outcome: string): void {
    if (!this.#log.isLevelEnabled('info')) return
    const ms = Math.round((performance.now() - startedAt) * 10) / 10
    this.#log.info({ requestId: request.id, path: endpoint.path, outcome, userId: caller?.userId, ip, ms }, 'call')
  }
}
