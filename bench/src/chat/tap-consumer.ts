/**
 * The least that Prosody needs beside it, in a process of its own: an HTTP server that allows everything, and a component
 * (deploy/xmpp/README.md) that calls each entry stored at once, delivers it to the receiver's streams and sends the receipt.
 * It keeps nothing. Started by setups.ts with an IPC channel.
 */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { attributeOf, StanzaCutter } from './stanza-cutter.ts'

export interface ConsumerOrder {
  port: number
  domain: string
  component: string
  secret: string
}

const allowed = JSON.stringify({ resultCode: 1, data: { passwordVersion: 1 } })
const ours = 'urn:yingchuang:im:3'
const references: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }
const escapeText = (text: string) => text.replace(/[&<>]/g, (character) => references[character]!)

/** Streams of a user, with the number of the last delivery to each. */
const streams = new Map<string, Map<string, number>>()

const deliver = (to: string, rest: string) =>
  `<deliver xmlns='${ours}' to='${to}' name='message'>${escapeText(rest)}</deliver>`

/** What a message of frames asks for: deliveries, receipts and how far entries are stored. */
function answer(frames: string, epoch: string): string {
  let out = ''
  let last = ''
  for (const [frame, name] of frames.matchAll(/<(stream|stream-end|entry) [\s\S]*?(?:\/>|<\/\1>)/g)) {
    const user = attributeOf(frame, 'user')
    if (name === 'stream') {
      const known = streams.get(user!) ?? new Map<string, number>()
      streams.set(user!, known)
      const id = attributeOf(frame, 'id')!
      known.set(id, known.get(id) ?? Number(attributeOf(frame, 'delivered')))
    } else if (name === 'stream-end') {
      streams.get(user!)?.delete(attributeOf(frame, 'id')!)
    } else {
      last = attributeOf(frame, 'seq')!
      const message = frame.slice(frame.indexOf('<message'))
      const [body] = /<body>[\s\S]*?<\/body>/.exec(message) ?? []
      if (!body) continue
      const [from, to, id] = [attributeOf(frame, 'from')!, attributeOf(message, 'to')!, attributeOf(message, 'id')!]
      const receivers = streams.get(to.slice(0, to.indexOf('@'))) ?? new Map<string, number>()
      const targets: string[] = []
      for (const [stream, k] of receivers) {
        receivers.set(stream, k + 1)
        targets.push(`${stream}:${k + 1}`)
      }
      out += deliver(targets.join(' '), `from='${from}' id='${id}' type='chat'>${body}</message>`)
      const receipt = `<received xmlns='urn:xmpp:receipts' id='${id}' status='1'/></message>`
      out += deliver(attributeOf(frame, 'stream')!, `from='${to}' type='normal'>${receipt}`)
    }
  }
  if (last)
    out += ['stored', 'released'].map((mark) => `<${mark} xmlns='${ours}' epoch='${epoch}' seq='${last}'/>`).join('')
  return out
}

const http = createServer((request, response) => {
  request.resume().on('end', () => response.setHeader('Content-Type', 'application/json').end(allowed))
})
http.listen(0, '127.0.0.1', () => process.send!({ httpPort: (http.address() as AddressInfo).port }))

process.on('message', ({ port, domain, component, secret }: ConsumerOrder) => {
  const cutter = new StanzaCutter()
  let epoch = ''
  const socket = connect(port, '127.0.0.1').setEncoding('utf8').setNoDelay(true)
  socket.on('error', (cause) => {
    throw cause
  })
  socket.on('data', (chunk: unknown) => {
    let out = ''
    for (const stanza of cutter.push(chunk as string)) {
      if (stanza.startsWith('<stream:stream')) {
        const proof = createHash('sha1')
          .update(`${attributeOf(stanza, 'id')}${secret}`)
          .digest('hex')
        out += `<handshake>${proof}</handshake>`
      } else if (stanza.startsWith('<handshake')) {
        process.send!({ connected: true })
      } else if (stanza.startsWith('<message')) {
        const hello = stanza.indexOf('<hello ')
        if (hello >= 0) epoch = attributeOf(stanza.slice(hello), 'epoch')!
        const frames = answer(stanza, epoch)
        if (frames) out += `<message from='${component}' to='${domain}'>${frames}</message>`
      }
    }
    if (out) socket.write(out)
  })
  socket.write(
    `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${component}'>`,
  )
})
process.on('disconnect', () => process.exit(0))
