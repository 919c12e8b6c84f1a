import { connect, type Socket } from 'node:net'
import { StanzaCutter } from '../chat/stanza-cutter.ts'

/** A TCP connection that carries an XMPP stream. */
export class Wire {
  onStanza: (stanza: string) => void = () => {}
  /** Called once when nothing more comes. */
  onEnd: () => void = () => {}
  heardAt = performance.now()
  readonly #socket: Socket
  #cutter = new StanzaCutter()
  #isOver = false

  constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1')
    this.#socket.setEncoding('utf8')
    this.#socket.setNoDelay(true)
    this.#socket.on('data', (chunk: unknown) => {
      this.heardAt = performance.now()
      for (const stanza of this.#cutter.push(chunk as string)) this.onStanza(stanza)
    })
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => {
      if (this.#isOver) return
      this.#isOver = true
      this.onEnd()
    })
  }

  send(xml: string): void {
    if (!this.#isOver) this.#socket.write(xml)
  }

  /** Writes something and waits for the first stanza that begins with one of `answers`. */
  ask(xml: string, answers: readonly string[], patience = 8000): Promise<string> {
    return new Promise((resolve, reject) => {
      const [onStanza, onEnd] = [this.onStanza, this.onEnd]
      const done = () => {
        clearTimeout(timer)
        this.onStanza = onStanza
        this.onEnd = onEnd
      }
      const fail = (why: string) => {
        done()
        this.drop()
        reject(new Error(why))
      }
      const timer = setTimeout(() => fail(`no ${answers} for ${patience} ms`), patience)
      this.onEnd = () => fail('the connection ended')
      this.onStanza = (stanza) => {
        if (!answers.some((answer) => stanza.startsWith(answer))) return onStanza(stanza)
        done()
        resolve(stanza)
      }
      this.send(xml)
    })
  }

  /** The other side begins its stream anew, after the login. */
  restart(): void {
    this.#cutter = new StanzaCutter()
  }

  /** Reads nothing until `wake`. */
  sleep(): void {
    this.#socket.pause()
  }

  wake(): void {
    this.heardAt = performance.now()
    this.#socket.resume()
  }

  /** Closes the stream; what the server still sends is read. */
  close(): void {
    this.send('</stream:stream>')
  }

  /** The network is gone. */
  drop(): void {
    this.#socket.destroy()
  }
}
