/** The message service's end of the component connection, as far as the protocol of ../README.md goes. */
import { type Component, component } from '@xmpp/component'
import type { Element } from '@xmpp/xml'
import { attributeXml, contentOf, newId, textXml } from './client.ts'
import { eventually } from './eventually.ts'
import type { Prosody, TestContext } from './prosody.ts'

export const ours = 'urn:yingchuang:im:3'

export interface Entry {
  seq: number
  stamp: number
  stream: string
  from: string
  stanza: Element
}

/** What is sent to one or more streams. */
export interface Delivery {
  /** The rest of the stanza after its `to`. */
  text: string
  name?: string
  id?: string
  expect?: boolean
}

/** The rest of a message of the apps. */
export function delivery(
  content: string,
  { id = newId(), from = '10000009@im.test/pc', expect = false } = {},
): Delivery {
  const body = JSON.stringify({ type: 1, messageId: id, content })
  return { text: `from='${from}' id='${id}' type='chat'><body>${textXml(body)}</body></message>`, id, expect }
}

export class MessageService {
  readonly component: Component
  /** Every frame in the order of its coming. */
  frames: Element[] = []
  entries: Entry[] = []
  readonly streams = new Map<string, Element>()
  readonly ended = new Map<string, Element>()
  readonly confirmed = new Map<string, number>()
  /** The number of the last numbered delivery to each stream. */
  readonly numbered = new Map<string, number>()
  hello: Record<string, string> = {}
  ready = false
  /** Says `stored` and `released` for each entry as it comes. */
  stores = true
  releases = true
  online = false
  /** Called with each frame. */
  onFrame: ((frame: Element) => void) | undefined
  /** Called when a stream has confirmed more. */
  onConfirmed: (() => void) | undefined
  readonly #answers: Element[] = []
  readonly #prosody: Prosody

  constructor(prosody: Prosody, password = prosody.secret) {
    this.#prosody = prosody
    this.component = component({
      service: `xmpp://127.0.0.1:${prosody.componentPort}`,
      domain: prosody.component,
      password,
    })
    this.component.reconnect.stop()
    this.component.on('error', () => {})
    this.component.on('offline', () => (this.online = false))
    this.component.on('disconnect', () => (this.online = false))
    this.component.on('stanza', (stanza) => this.#take(stanza as unknown as Element))
  }

  async connect(): Promise<this> {
    await this.component.start()
    this.online = true
    await eventually(() => this.ready)
    return this
  }

  disconnect(): void {
    this.component.socket?.destroy()
  }

  write(xml: string): void {
    this.component.write(xml).catch(() => {})
  }

  /** One message with these frames. */
  tell(...frames: string[]): void {
    this.write(`<message from='${this.#prosody.component}' to='${this.#prosody.domain}'>${frames.join('')}</message>`)
  }

  stored(seq: number): void {
    this.tell(`<stored xmlns='${ours}' epoch='${this.hello['epoch']}' seq='${seq}'/>`)
  }

  released(seq: number): void {
    this.tell(`<released xmlns='${ours}' epoch='${this.hello['epoch']}' seq='${seq}'/>`)
  }

  /** The frame of a delivery to targets `s` or `s:k`. */
  frame(targets: readonly string[], { text, name = 'message', id, expect }: Delivery): string {
    const more = `${id ? ` id='${attributeXml(id)}'` : ''}${expect ? " expect='1'" : ''}`
    return `<deliver xmlns='${ours}' to='${targets.join(' ')}' name='${name}'${more}>${textXml(text)}</deliver>`
  }

  /** Numbered deliveries to streams, in one message. */
  deliver(streams: string | readonly string[], ...deliveries: Delivery[]): void {
    const ids = typeof streams === 'string' ? [streams] : streams
    this.tell(
      ...deliveries.map((each) =>
        this.frame(
          ids.map((id) => `${id}:${this.next(id)}`),
          each,
        ),
      ),
    )
  }

  next(stream: string): number {
    const k = (this.numbered.get(stream) ?? Number(this.streams.get(stream)?.attrs['delivered'] ?? 0)) + 1
    this.numbered.set(stream, k)
    return k
  }

  async order(xml: string): Promise<Element> {
    const id = newId()
    this.write(`<iq type='set' id='${id}' from='${this.#prosody.component}' to='${this.#prosody.domain}'>${xml}</iq>`)
    return eventually(() => this.#answers.find((answer) => answer.attrs['id'] === id))
  }

  /** The id of the stream of this full JID. */
  stream(jid: string): Promise<string> {
    return eventually(() => {
      const [user, resource] = jid.split(/@[^/]*\//)
      for (const [id, { attrs }] of this.streams)
        if (attrs['user'] === user && attrs['resource'] === resource) return id
      return undefined
    })
  }

  state(id: string): Record<string, string | undefined> {
    return this.streams.get(id)?.attrs ?? {}
  }

  contents(): string[] {
    return this.entries.map(({ stanza }) => contentOf(stanza))
  }

  seqs(): number[] {
    return this.entries.map(({ seq }) => seq)
  }

  #take(stanza: Element): void {
    if (stanza.name === 'iq') {
      this.#answers.push(stanza)
      return
    }
    let last = 0
    for (const frame of stanza.getChildElements()) {
      if (frame.attrs['xmlns'] !== ours) continue
      this.frames.push(frame)
      this.onFrame?.(frame)
      last = this.#takeFrame(frame) ?? last
    }
    if (last && this.stores) this.stored(last)
    if (last && this.stores && this.releases) this.released(last)
  }

  /** The last number of entries the frame is about. */
  #takeFrame(frame: Element): number | undefined {
    const attrs = frame.attrs as Record<string, string>
    if (frame.name === 'hello') {
      this.hello = attrs
      this.streams.clear()
      this.numbered.clear()
    } else if (frame.name === 'ready') {
      this.ready = true
    } else if (frame.name === 'stream') {
      this.streams.set(attrs['id']!, frame)
      this.confirmed.set(attrs['id']!, Number(attrs['confirmed']))
    } else if (frame.name === 'stream-end') {
      this.streams.delete(attrs['id']!)
      this.ended.set(attrs['id']!, frame)
    } else if (frame.name === 'confirmed') {
      for (const mark of attrs['to']!.split(' ')) {
        const [id, k] = mark.split(':') as [string, string]
        this.confirmed.set(id, Number(k))
      }
      this.onConfirmed?.()
    } else if (frame.name === 'entry') {
      this.entries.push({
        seq: Number(attrs['seq']),
        stamp: Number(attrs['stamp']),
        stream: attrs['stream']!,
        from: attrs['from']!,
        stanza: frame.getChildElements()[0]!,
      })
      return Number(attrs['seq'])
    } else if (frame.name === 'hole') {
      return Number(attrs['to'])
    }
    return undefined
  }
}

/** A connected message service; it goes with the test. */
export async function startMessageService(
  t: TestContext,
  prosody: Prosody,
  { stores = true, releases = true } = {},
): Promise<MessageService> {
  const service = new MessageService(prosody)
  service.stores = stores
  service.releases = releases
  t.teardown(() => service.disconnect())
  return service.connect()
}
