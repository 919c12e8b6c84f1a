import { AsyncLocalStorage } from 'node:async_hooks'
import type { Lifetime } from './http/lifetime.ts'

/** The call this code runs for. */
interface CurrentCall {
  requestId: string
  /** While somebody waits for the answer. */
  lifetime?: Lifetime
  endedSessions?: Set<string>
  /** The user on whose behalf it is made. */
  callerId?: number
}

/** More would not fit into the head of an answer. */
const mostToldEnded = 100

const current = new AsyncLocalStorage<CurrentCall>()

/** Runs `work` for a request: its log lines and its calls to other services carry the id. */
export const withRequestId = <T>(requestId: string, work: () => T): T => current.run({ requestId }, work)

/** Says for how long somebody waits for the answer to the current request; undefined when it was given. */
export function setLifetime(lifetime: Lifetime | undefined): void {
  const call = current.getStore()
  if (!call) return
  if (lifetime) call.lifetime = lifetime
  else delete call.lifetime
}

export function setCaller(userId: number | undefined): void {
  const call = current.getStore()
  if (call && userId !== undefined) call.callerId = userId
}

/** The user on whose behalf this code runs; undefined where no user calls. */
export const currentCaller = (): number | undefined => current.getStore()?.callerId

/**
 * The answer to the current call tells the gateway that these sessions have ended, also when it is an error: a hundred of them, a user
 * has sixteen at most. Outside of a call nothing is told.
 */
export function tellEndedSessions(sessionIds: readonly string[]): void {
  const call = current.getStore()
  if (!call) return
  call.endedSessions ??= new Set()
  for (const id of sessionIds) if (call.endedSessions.size < mostToldEnded) call.endedSessions.add(id)
}

/** What was told in the current call. */
export const endedSessions = (): readonly string[] => [...(current.getStore()?.endedSessions ?? [])]

/** Id of the request this code runs for; undefined outside of one. */
export const currentRequestId = (): string | undefined => current.getStore()?.requestId

/** True when this code runs for a request whose caller left or was told that it failed. */
export const isCallerGone = (): boolean => current.getStore()?.lifetime?.isOver ?? false
