import type { StanzaName, StanzaText } from '../stanzas/stanza-text.ts'
import { escapeAttribute, escapeXml } from '../stanzas/xml-text.ts'
import type { StreamWriter } from '../streams/own-stream.ts'
import { frameNamespace } from './frame-namespace.ts'

/** Frames of one turn go together, up to so many characters in a stanza. */
const stanzaLength = 256 * 1024
/** How long (ms) it may wait for company that the server can forget more of its log: nobody waits for it. */
const releaseWithin = 20

/** Writes frames to one XMPP server, those of one turn in one go and in their order. */
export class FrameWriter implements StreamWriter {
  readonly #write: (xml: string) => void
  readonly #head: string
  readonly #epoch: number
  #frames: string[] = []
  #length = 0
  #flushing = false
  #stored = 0
  #released = 0
  #hasMarks = false
  #releasing: NodeJS.Timeout | undefined

  constructor(options: { component: string; domain: string; epoch: number; write: (xml: string) => void }) {
    this.#write = options.write
    this.#epoch = options.epoch
    this.#head = `<message from='${options.component}' to='${options.domain}'>`
  }

  /** Where the log's marks stand. */
  marks(stored: number, released: number): void {
    const letsCome = stored > this.#stored
    this.#stored = stored
    this.#released = released
    this.#hasMarks = true
    // More entries come when others are stored.
    if (letsCome) this.#schedule()
    else this.#releasing ??= setTimeout(() => this.flush(), releaseWithin)
  }

  deliver(streamId: string, number: number | undefined, text: StanzaText, expectId?: string): void {
    this.deliverTo(number === undefined ? streamId : `${streamId}:${number}`, 'message', text, expectId)
  }

  deliverTo(to: string, name: StanzaName, text: StanzaText, expectId?: string): void {
    const expects = expectId === undefined ? '' : ` id='${escapeAttribute(expectId)}' expect='1'`
    this.#add(
      `<deliver xmlns='${frameNamespace}' to='${escapeAttribute(to)}' name='${name}'${expects}>${escapeXml(text)}</deliver>`,
    )
  }

  note(to: string, name: string, value: string | undefined): void {
    const kept = value === undefined ? '' : ` value='${escapeAttribute(value)}'`
    this.#add(`<note xmlns='${frameNamespace}' to='${escapeAttribute(to)}' name='${escapeAttribute(name)}'${kept}/>`)
  }

  #add(frame: string): void {
    if (this.#length + frame.length > stanzaLength) this.#flushFrames()
    this.#frames.push(frame)
    this.#length += frame.length
    this.#schedule()
  }

  #schedule(): void {
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(() => this.flush())
  }

  flush(): void {
    this.#flushing = false
    clearTimeout(this.#releasing)
    this.#releasing = undefined
    if (this.#hasMarks) {
      this.#hasMarks = false
      const at = `xmlns='${frameNamespace}' epoch='${this.#epoch}'`
      this.#frames.push(`<stored ${at} seq='${this.#stored}'/><released ${at} seq='${this.#released}'/>`)
    }
    this.#flushFrames()
  }

  #flushFrames(): void {
    if (!this.#frames.length) return
    this.#write(`${this.#head}${this.#frames.join('')}</message>`)
    this.#frames = []
    this.#length = 0
  }
}
