import { setTimeout as delay } from 'node:timers/promises'
import { holdLease } from '@im/service-kit'
import { type Element, xml } from '@xmpp/component'
import { archiveBatch } from '../archive/archive-batch.ts'
import { componentName } from '../config.ts'
import type { Deps } from '../deps.ts'
import { sendOrders } from '../notices/send-orders.ts'
import { createPresenceFollower } from '../presence/follow-presence.ts'
import { createTapConsumer } from './consume-tap.ts'
import { imNamespace } from './im-namespace.ts'
import { openComponent, type XmppConnection } from './open-component.ts'

/**
 * Holds the one component connection while this replica has the lease: feeds the archive and the presence, sends the orders.
 * A broken connection is opened again; a lost lease ends it after the batch that is being written.
 */
export function holdConnection(deps: Deps): { close(): Promise<void> } {
  return holdLease(deps, {
    name: 'archive-0',
    async work(signal) {
      let failures = 0
      while (!signal.aborted) {
        try {
          await runConnection(deps, signal, () => {
            failures = 0
          })
        } catch (error) {
          if (signal.aborted) return
          failures++
          deps.tapMetrics.reconnects.inc()
          // While the XMPP server starts, refusals are expected: only the first is worth a line.
          deps.log[failures > 1 ? 'debug' : 'warn']({ err: error }, 'no connection to the XMPP server; trying again')
          await delay(Math.min(50 * 2 ** failures, 1000), undefined, { signal }).catch(() => {})
        }
      }
    },
  })
}

/** One connection from its handshake to its end. Rejects when it ended by a fault. `progressed`: something was acknowledged. */
async function runConnection(deps: Deps, signal: AbortSignal, progressed: () => void): Promise<void> {
  const { config, log, tapMetrics } = deps
  let connection: XmppConnection | undefined
  let early: Error | undefined
  const fail = (error: Error) => {
    early ??= error
    connection?.fail(error)
  }
  const consumer = createTapConsumer({
    domain: config.xmppDomain,
    component: componentName(config),
    maxBatch: config.archiveBatch,
    async archive(entries) {
      const outcomes = await archiveBatch(deps, entries)
      return outcomes.filter((outcome) => outcome === 'new').length
    },
    park: (entry, error) => deps.poison.keep(entry, error),
    send(text) {
      connection?.write(text)
      progressed()
    },
    fail,
    log,
    metrics: tapMetrics,
  })
  const presence = createPresenceFollower(deps)
  connection = await openComponent({
    url: config.xmppComponentUrl,
    jid: componentName(config),
    secret: config.xmppComponentSecret,
    domain: config.xmppDomain,
    log,
    onStanza(stanza) {
      if (early || stanza.name !== 'message') return
      const [part] = stanza.children
      if (typeof part !== 'object' || part.attrs['xmlns'] !== imNamespace) return
      try {
        dispatch(part)
      } catch (error) {
        fail(error as Error)
      }
    },
  })
  if (early) connection.fail(early)

  function dispatch(part: Element): void {
    const { attrs } = part
    switch (part.name) {
      case 'tap': {
        const message = part.getChild('forwarded')?.getChild('message')
        if (!message) throw new Error('a tap entry without a message')
        consumer.take({
          seq: Number(attrs['seq']),
          stamp: Number(attrs['stamp']),
          sender: attrs['sender'] ?? '',
          message,
        })
        break
      }
      case 'tap-start':
        log.info({ log: attrs['log'], acked: attrs['acked'], last: attrs['last'] }, 'the tap is open')
        consumer.expect(attrs['log'] ?? '', Number(attrs['acked']), Number(attrs['last']))
        break
      case 'presence':
        presence.report(Number(attrs['user']), attrs['resource'] ?? '', attrs['online'] === '1')
        break
      case 'presence-snapshot':
        presence.snapshot(
          part
            .getChildElements()
            .map(({ attrs: of }) => ({ user: Number(of['user']), resource: of['resource'] ?? '' })),
          attrs['complete'] === '1',
        )
    }
  }

  const stopped = new AbortController()
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
  tapMetrics.connected.set(1)
  const opened = connection
  const orders = sendOrders(
    deps,
    (order) => opened.request(xml('iq', { type: 'set', from: componentName(config), to: config.xmppDomain }, order)),
    stopped.signal,
  )
  try {
    const fault = await Promise.race([opened.ended, aborted])
    if (fault) throw fault
    if (!signal.aborted) throw new Error('the connection ended')
  } finally {
    tapMetrics.connected.set(0)
    stopped.abort()
    // In this order: what is stored is acknowledged before the stream is closed.
    await consumer.close()
    await presence.close()
    await orders
    await opened.close()
  }
}
