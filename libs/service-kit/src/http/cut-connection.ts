import type { Socket } from 'node:net'

/** The parser of a connection, which Node leaves out of its types. */
interface Parser {
  /** Gets each request. The answer 2 says that what follows is no HTTP any more. */
  onIncoming: () => number
  /** `HTTPParser.kOnBody`: gets each part of a body. */
  3: unknown
}

/**
 * Closes a connection and reads no further. Node alone goes on with what was read before: with a packet of more than a thousand requests,
 * or of ten thousand parts of a body, which takes a hundred times as long as the close.
 */
export function cutConnection(socket: Socket & { parser?: Parser | null }): void {
  const { parser, destroyed } = socket
  if (destroyed) return
  if (parser) {
    const { 3: takePart } = parser
    parser.onIncoming = () => 2
    parser[3] = null
    // Another connection will use the parser.
    socket.once('close', () => {
      parser[3] = takePart
    })
  }
  socket.destroy()
}
