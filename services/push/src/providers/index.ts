/** What the benchmarks measure. */
export { createChannels } from './channels.ts'
export { Http2Client } from './http2-client.ts'
export type { Notification, Target } from './provider.ts'
