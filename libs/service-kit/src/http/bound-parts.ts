import type { IncomingMessage } from 'node:http'
import { cutConnection } from './cut-connection.ts'

/** So many parts of a body may be as short as they like … */
const freeParts = 250
/** … and with more of them a part must have so many bytes in the mean. */
const shortest = 64

/**
 * Closes the connection of a body that comes in very many short parts, such as chunks of one byte. Each part costs as much time
 * as a long one, so that a few megabytes of them would keep a service from everybody else.
 */
export function boundParts(request: IncomingMessage & { _dump?: () => void }): void {
  const { push, socket } = request
  let parts = 0
  let bytes = 0
  request.push = (part: Uint8Array | null, encoding) => {
    if (part === null) return push.call(request, part, encoding)
    parts += 1
    bytes += part.length
    if (parts > freeParts + bytes / shortest) cutConnection(socket)
    return !socket.destroyed && push.call(request, part, encoding)
  }
  // What is left of a body when its request is answered: Node would not tell of it any more.
  request._dump = () => {
    request.removeAllListeners('data')
    request.resume()
  }
}
