import type { FastifyReply } from 'fastify'
import type { IncomingCall } from './incoming-call.ts'

/** The outcome of a call, for the log: `Success`, the name of an error, or `gone` when the client did not wait. */
export type Outcome = string

/** Answers an admitted call. `url` is the path and query that the service gets. Rejects only before anything is written. */
export type Answer = (call: IncomingCall, url: string, reply: FastifyReply) => Promise<Outcome>
