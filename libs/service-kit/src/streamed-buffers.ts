import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes that may pass before their buffers are collected. */
const collectedAfter = 8 * 1024 * 1024

let passed = 0
let collect: ((options: { type: 'minor' }) => void) | undefined

/**
 * Tells that so many bytes of a long body have passed through this process. Each read takes a new buffer, and V8 lets 64 MiB of
 * them wait before it collects any; a collection of what is young takes about a millisecond.
 */
export function countStreamed(bytes: number): void {
  passed += bytes
  if (passed < collectedAfter) return
  passed = 0
  collect ??= collector()
  collect({ type: 'minor' })
}

/** The flag is reset, because Node does not use its compile cache under other flags. */
function collector(): NonNullable<typeof collect> {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as NonNullable<typeof collect>
  setFlagsFromString('--no-expose-gc')
  return gc
}
