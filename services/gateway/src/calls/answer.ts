import type { FastifyReply } from 'fastify'
import type { IncomingCall } from './incoming-call.ts'

/** What became of a call, for the log: `Success`, the name of an error, or `gone` when nobody waited for the answer. */
export type Outcome = string

/** Answers a call that was admitted. `url` is path and query as its service gets them. Rejects while nothing is written. */
export type Answer = (call: IncomingCall, url: string, reply: FastifyReply) => Promise<Outcome>
