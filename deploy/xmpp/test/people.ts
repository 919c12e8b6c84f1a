/** Users and the message service as tests see them: clients and a component on a real Prosody. */

import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Client, client } from '@xmpp/client'
import { type Component, component, type Element } from '@xmpp/component'
import type { Prosody } from './prosody.ts'

export const ours = 'urn:yingchuang:im:1'
export const alice = '10000001'
export const bob = '10000002'
export const carol = '10000003'

/** Waits until the check stops throwing and returns something; fails with its last error. */
export async function eventually<T>(check: () => T | Promise<T>, deadline = 5000): Promise<NonNullable<T>> {
  const end = Date.now() + deadline
  for (;;) {
    try {
      const value = await check()
      if (value !== undefined && value !== null && value !== false) return value
      if (Date.now() > end) throw new Error(`not true within ${deadline} ms: ${check}`)
    } catch (error) {
      if (Date.now() > end) throw error
    }
    await delay(10)
  }
}

export const passwordOf = (user: string) => user.padStart(32, '0')

const xmlText = (text: string) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`).replace(/\r/g, '&#13;')

let lastId = 0
export const newId = () => (++lastId).toString(16).padStart(32, '0')

export const bodyOf = (fields: Record<string, unknown>) => JSON.stringify(fields)

export function textMessage(from: string, to: string, content: string, messageId = newId(), type = 1): string {
  return bodyOf({ type, messageId, fromUserId: from, fromUserName: 'x', toUserId: to, content, timeSend: 1 })
}

type SendOptions = { id?: string; type?: string; receipt?: boolean }

export class Person {
  readonly user: string
  readonly stanzas: Element[] = []
  readonly errors: Error[] = []
  readonly client: Client
  jid = ''
  readonly #domain: string

  constructor(prosody: Prosody, user: string, resource: string, service?: string) {
    this.user = user
    this.#domain = prosody.domain
    this.client = client({
      service: service ?? `xmpp://127.0.0.1:${prosody.port}`,
      domain: prosody.domain,
      resource,
      // The library itself does not send a password over a stream without TLS.
      credentials: (authenticate) =>
        (authenticate as (credentials: object, mechanism: string) => Promise<void>)(
          { username: user, password: passwordOf(user) },
          'PLAIN',
        ),
    })
    this.client.reconnect.stop()
    this.client.on('stanza', (stanza) => this.stanzas.push(stanza as unknown as Element))
    this.client.on('error', (error) => this.errors.push(error))
  }

  get bare(): string {
    return `${this.user}@${this.#domain}`
  }

  async online({ presence = true, priority = 0 } = {}): Promise<this> {
    this.jid = String(await this.client.start())
    if (presence) await this.available(priority)
    return this
  }

  async available(priority = 0): Promise<void> {
    await this.write(`<presence xmlns='jabber:client'><priority>${priority}</priority></presence>`)
    await eventually(() => this.stanzas.some((s) => s.name === 'presence' && s.attrs.from === this.jid))
  }

  write(xml: string): Promise<void> {
    return this.client.write(xml) as Promise<void>
  }

  /** Sends a message with this body to a user id or a JID; returns its id. */
  async send(to: string, body: string, { id, type = 'chat', receipt = false }: SendOptions = {}): Promise<string> {
    let messageId = id
    if (!messageId) {
      try {
        messageId = JSON.parse(body).messageId
      } catch {}
    }
    messageId ??= newId()
    const jid = /^\d+$/.test(to) ? `${to}@${this.#domain}` : to
    const request = receipt ? "<request xmlns='urn:xmpp:receipts'/>" : ''
    await this.write(
      `<message id='${messageId}' type='${type}' to='${jid}'><body>${xmlText(body)}</body>${request}</message>`,
    )
    return messageId
  }

  messages(): Element[] {
    return this.stanzas.filter((s) => s.name === 'message' && s.attrs.type !== 'error' && s.getChild('body'))
  }

  bodies(): string[] {
    return this.messages().map((s) => s.getChildText('body') ?? '')
  }

  contents(): string[] {
    return this.bodies().map((body) => JSON.parse(body).content)
  }

  error(id: string): Element | undefined {
    return this.stanzas.find((s) => s.attrs.type === 'error' && s.attrs.id === id)
  }

  /** The condition of the error that answers this stanza. */
  refusal(id: string): Promise<string> {
    return eventually(() => this.error(id)?.getChild('error')?.getChildElements()[0]?.name)
  }

  /** Everything sent so far has been handled when this returns. */
  async sync(): Promise<void> {
    const id = newId()
    await this.write(
      `<iq xmlns='jabber:client' type='get' id='${id}' to='${this.#domain}'><ping xmlns='urn:xmpp:ping'/></iq>`,
    )
    await eventually(() => this.stanzas.some((s) => s.attrs.id === id))
  }

  async offline(): Promise<void> {
    await this.client.stop()
  }

  /** The network goes away; the stream may still be resumed. */
  vanish(): void {
    ;(this.client.socket as unknown as Socket).destroy()
  }
}

export async function join(prosody: Prosody, user: string, resource = 'android'): Promise<Person> {
  register(prosody, user)
  return new Person(prosody, user, resource).online()
}

export function register(prosody: Prosody, ...users: string[]): void {
  for (const user of users) prosody.services.passwords.set(user, passwordOf(user))
}

export type Entry = { seq: number; stamp: number; sender: string; message: Element; body: string }

/** The message service's end of the component connection. */
export class Archive {
  readonly entries: Entry[] = []
  readonly starts: { log: string; acked: number; last: number }[] = []
  readonly presence: { user: string; resource: string; online: string }[] = []
  readonly snapshots: { complete: boolean; resources: string[] }[] = []
  readonly others: Element[] = []
  readonly component: Component
  acking = true
  #prosody: Prosody

  constructor(prosody: Prosody) {
    this.#prosody = prosody
    this.component = component({
      service: `xmpp://127.0.0.1:${prosody.componentPort}`,
      domain: prosody.component,
      password: prosody.secret,
    })
    this.component.reconnect.stop()
    this.component.on('error', () => {})
    this.component.on('stanza', (stanza: Element) => this.#take(stanza))
  }

  #take(stanza: Element): void {
    const tap = stanza.getChild('tap', ours)
    const start = stanza.getChild('tap-start', ours)
    const presence = stanza.getChild('presence', ours)
    const snapshot = stanza.getChild('presence-snapshot', ours)
    if (tap) {
      const message = tap.getChild('forwarded', 'urn:xmpp:forward:0')!.getChildElements()[0]!
      this.entries.push({
        seq: Number(tap.attrs.seq),
        stamp: Number(tap.attrs.stamp),
        sender: tap.attrs.sender!,
        message,
        body: message.getChildText('body') ?? '',
      })
      if (this.acking) this.ack(Number(tap.attrs.seq))
    } else if (start) {
      this.starts.push({ log: start.attrs.log!, acked: Number(start.attrs.acked), last: Number(start.attrs.last) })
    } else if (presence) {
      const { user, resource, online } = presence.attrs as Record<string, string>
      this.presence.push({ user: user!, resource: resource!, online: online! })
    } else if (snapshot) {
      const resources = snapshot.getChildElements().map((r) => `${r.attrs.user}/${r.attrs.resource}`)
      this.snapshots.push({ complete: snapshot.attrs.complete === '1', resources })
    } else {
      this.others.push(stanza)
    }
  }

  ack(seq: number): void {
    this.write(
      `<message from='${this.#prosody.component}' to='${this.#prosody.domain}'><ack xmlns='${ours}' seq='${seq}'/></message>`,
    )
  }

  write(xml: string): void {
    this.component.write(xml).catch(() => {})
  }

  async connect(): Promise<this> {
    await this.component.start()
    return this
  }

  async order(xml: string): Promise<Element> {
    const id = newId()
    this.write(`<iq type='set' id='${id}' from='${this.#prosody.component}' to='${this.#prosody.domain}'>${xml}</iq>`)
    return eventually(() => this.others.find((s) => s.name === 'iq' && s.attrs.id === id))
  }

  disconnect(): void {
    this.component.socket?.destroy()
  }

  bodies(): string[] {
    return this.entries.map((entry) => entry.body)
  }

  contents(): string[] {
    return this.bodies().map((body) => JSON.parse(body).content)
  }
}

/** A connected message service that acknowledges everything. */
export async function archive(prosody: Prosody, { acking = true } = {}): Promise<Archive> {
  const taken = new Archive(prosody)
  taken.acking = acking
  return taken.connect()
}
