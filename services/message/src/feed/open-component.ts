import { once } from 'node:events'
import type { Logger } from '@im/service-kit'
import { type Component, component, type Element, xml } from '@xmpp/component'

/** An open component stream (XEP-0114). */
export interface XmppConnection {
  /** Writes stanzas as XML. Failures end the connection. */
  write(text: string): void
  /** Sends an iq and resolves with its result; an error answer rejects. */
  request(stanza: Element): Promise<Element>
  /** Ends the connection because of a fault. */
  fail(error: Error): void
  /** Resolves when the connection is over, with the fault if there was one. */
  readonly ended: Promise<Error | undefined>
  close(): Promise<void>
}

const pingEvery = 15_000
const answerWithin = 10_000

/**
 * Connects and authenticates. `onStanza` is attached before the handshake: the backlog of the tap arrives in the same segment
 * as its answer. One object is one connection: whoever wants another opens another.
 */
export async function openComponent(options: {
  url: string
  jid: string
  secret: string
  domain: string
  onStanza: (stanza: Element) => void
  log: Logger
  /** How long (ms) the server may take until the handshake is accepted. */
  patience?: number
  /** Nobody wants the connection any more. */
  signal?: AbortSignal
}): Promise<XmppConnection> {
  const entity = component({ service: options.url, domain: options.jid, password: options.secret })
  entity.reconnect.stop()

  let over = false
  const { promise: ended, resolve: end } = Promise.withResolvers<Error | undefined>()
  const finish = (error?: Error) => {
    if (over) return
    over = true
    end(error)
    entity.socket?.destroy()
  }

  // The library decodes each network read by itself, which breaks characters that lie across two of them.
  entity.on('connect', () => {
    entity.socket?.setEncoding('utf8')
    entity.socket?.setNoDelay(true)
  })
  guardParser(entity, finish)
  entity.on('error', finish)
  entity.on('disconnect', () => finish(new Error('the XMPP server closed the connection')))
  entity.on('stanza', (stanza: Element) => {
    if (!over) options.onStanza(stanza)
  })

  const { patience = answerWithin, signal } = options
  const opening = AbortSignal.any([AbortSignal.timeout(patience), ...(signal ? [signal] : [])])
  const giveUp = () => finish(opening.reason)
  opening.addEventListener('abort', giveUp)
  try {
    opening.throwIfAborted()
    await Promise.race([
      start(entity, options),
      ended.then((error) => Promise.reject(error ?? new Error('the connection was closed'))),
    ])
  } catch (error) {
    finish(error as Error)
    throw error
  } finally {
    opening.removeEventListener('abort', giveUp)
  }

  const request = (stanza: Element) => entity.iqCaller.request(stanza, answerWithin)
  const pinging = setInterval(() => {
    request(xml('iq', { type: 'get', to: options.domain }, xml('ping', { xmlns: 'urn:xmpp:ping' }))).catch((error) => {
      // Any answer is a sign of life, also a refusal.
      if (error?.name === 'TimeoutError') finish(new Error('the XMPP server does not answer'))
    })
  }, pingEvery)
  ended.then(() => clearInterval(pinging))

  return {
    ended,
    fail: finish,
    request,
    write(text) {
      if (!over) entity.write(text).catch(finish)
    },
    async close() {
      if (over) return
      // A clean end of the stream; the server has two seconds to answer it.
      await entity.stop().catch(() => {})
      finish()
    },
  }
}

/** As `start` of the library, which leaves a rejection to nobody when the connection breaks before the stream is open. */
async function start(entity: Component, { url, jid }: { url: string; jid: string }): Promise<void> {
  await entity.connect(url)
  const online = once(entity, 'online')
  online.catch(() => {})
  await entity.open({ domain: jid })
  await online
}

/**
 * A stanza the parser cannot read, or a fault in a handler, ends the connection and not the process. The parser gets whole tags, with
 * all text before them: where what it gets ends within a text, it looks for the end of that anew at each character, 100 ms for 200 KB.
 */
function guardParser(entity: Component, finish: (error: Error) => void): void {
  const read = entity._onData.bind(entity)
  let held: string[] = []
  entity._onData = (data) => {
    const text = String(data)
    const end = text.lastIndexOf('>') + 1
    if (!end) {
      held.push(text)
      return
    }
    const whole = held.join('') + text.slice(0, end)
    held = [text.slice(end)]
    try {
      read(whole)
    } catch (error) {
      finish(error as Error)
    }
  }
}
