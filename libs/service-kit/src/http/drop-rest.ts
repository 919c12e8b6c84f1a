import type { IncomingMessage } from 'node:http'

/** The rest of a body is read up to this size (bytes) … */
const longestRest = 16 * 1024 * 1024
/** … and for so long (ms). */
const longestWait = 30_000

/**
 * Reads and drops what is left of a body that was answered before its end: so its sender comes to read the answer, and the next
 * request on the connection is not stuck behind the body. The connection is closed when the body does not end.
 */
export function dropRest(request: IncomingMessage): void {
  if (request.readableEnded || request.destroyed) return
  let bytes = 0
  const late = setTimeout(() => request.destroy(), longestWait)
  const done = () => clearTimeout(late)
  request.once('end', done).once('close', done)
  request.on('data', (chunk: Uint8Array) => {
    bytes += chunk.length
    if (bytes > longestRest) request.destroy()
  })
  // A pipe that ends later would pause it.
  request.unpipe()
  request.resume()
}
