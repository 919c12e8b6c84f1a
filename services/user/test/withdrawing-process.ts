/** Run by a test, and killed by it: the user service with a provider of transfers that never answers. */
import { sandboxOpenids } from '../src/payments/sandbox.ts'
import { service } from '../src/service.ts'

const never = () => new Promise<never>(() => {})
const transfers = { transfer: never, query: never }
const { url } = await service.start(process.env, {
  payments: { isSandbox: true, transfers, openids: sandboxOpenids },
})
console.log(url)
