import { AsyncLocalStorage } from 'node:async_hooks'

const current = new AsyncLocalStorage<string>()

/** Runs `work` for a request, so that its log lines and its calls to other services have the id. */
export const withRequestId = <T>(id: string, work: () => T): T => current.run(id, work)

/** Id of the request this code runs for; undefined outside of one. */
export const currentRequestId = (): string | undefined => current.getStore()
