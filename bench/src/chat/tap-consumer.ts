/**
 * The least that Prosody needs beside it, in a process of its own: an HTTP server that allows everything, and a component
 * that acknowledges the tap at once and sends the receipts. It keeps nothing. Started by tap-alone.ts with an IPC channel.
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

const allowed = JSON.stringify({ resultCode: 1, data: { allow: 1, exists: 1, status: 1 } })

const http = createServer((request, response) => {
  request.resume().on('end', () => response.setHeader('Content-Type', 'application/json').end(allowed))
})
http.listen(0, '127.0.0.1', () => process.send!({ httpPort: (http.address() as AddressInfo).port }))

process.on('message', ({ port, domain, component, secret }: ConsumerOrder) => {
  const cutter = new StanzaCutter()
  const socket = connect(port, '127.0.0.1').setEncoding('utf8').setNoDelay(true)
  socket.on('error', (cause) => {
    throw cause
  })
  socket.on('data', (chunk: unknown) => {
    let out = ''
    let seq = ''
    for (const stanza of cutter.push(chunk as string)) {
      if (stanza.startsWith('<stream:stream')) {
        const proof = createHash('sha1')
          .update(`${attributeOf(stanza, 'id')}${secret}`)
          .digest('hex')
        out += `<handshake>${proof}</handshake>`
      } else if (stanza.startsWith('<handshake')) {
        process.send!({ connected: true })
      } else if (stanza.includes('<tap ')) {
        const tap = stanza.slice(stanza.indexOf('<tap '))
        seq = attributeOf(tap, 'seq')!
        const message = tap.slice(tap.indexOf('<message'))
        const sender = attributeOf(tap, 'sender')
        out += `<message type='normal' from='${attributeOf(message, 'to')}' to='${sender}'><received xmlns='urn:xmpp:receipts' id='${attributeOf(message, 'id')}' status='1'/></message>`
      }
    }
    if (seq)
      out += `<message from='${component}' to='${domain}'><ack xmlns='urn:yingchuang:im:1' seq='${seq}'/></message>`
    if (out) socket.write(out)
  })
  socket.write(
    `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' to='${component}'>`,
  )
})
process.on('disconnect', () => process.exit(0))
