import type { OpenidProvider, TransferProvider } from './payment-provider.ts'

/** For development: every code is good, and every transfer arrives at once. */
export const sandboxOpenids: OpenidProvider = { openidOf: async (_code, userId) => `sandbox-${userId}` }

export const sandboxTransfers = (now: () => number): TransferProvider => ({
  transfer: async ({ billNo }) => ({ state: 'paid', paymentNo: `sandbox-${billNo}`, at: now() }),
  // What has not arrived at once was never sent.
  query: async () => undefined,
})
