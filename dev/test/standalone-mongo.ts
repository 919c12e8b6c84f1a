import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { BSON, type Document } from 'mongodb'

const opQuery = 2004
const opMsg = 2013

/** Enough of a mongod without a replica set: it says hello. */
export async function standaloneMongo(): Promise<{ url: string; close(): void }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    let buffer = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (data) => {
      buffer = Buffer.concat([buffer, data])
      while (buffer.length >= 4 && buffer.length >= buffer.readInt32LE(0)) {
        const length = buffer.readInt32LE(0)
        socket.write(reply(buffer.subarray(0, length)))
        buffer = buffer.subarray(length)
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `mongodb://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/** The first message of a connection is an OP_QUERY (a document after the collection's name), the others are OP_MSG. */
function reply(message: Buffer): Buffer {
  const isQuery = message.readInt32LE(12) === opQuery
  const documentAt = isQuery ? message.indexOf(0, 20) + 9 : 21
  const command = BSON.deserialize(message.subarray(documentAt, documentAt + message.readInt32LE(documentAt)))
  const answer = BSON.serialize(answerTo(command))
  const head = isQuery ? queryHead() : Buffer.alloc(5)
  const header = Buffer.alloc(16)
  header.writeInt32LE(header.length + head.length + answer.length, 0)
  header.writeInt32LE(message.readInt32LE(4), 8)
  header.writeInt32LE(isQuery ? 1 : opMsg, 12)
  return Buffer.concat([header, head, answer])
}

/** One document. */
function queryHead(): Buffer {
  const head = Buffer.alloc(20)
  head.writeInt32LE(1, 16)
  return head
}

function answerTo(command: Document): Document {
  if ('hello' in command || 'isMaster' in command || 'ismaster' in command)
    return {
      ...{ ok: 1, helloOk: true, isWritablePrimary: true, ismaster: true, minWireVersion: 0, maxWireVersion: 25 },
      ...{ maxBsonObjectSize: 16_777_216, maxMessageSizeBytes: 48_000_000, maxWriteBatchSize: 100_000 },
      logicalSessionTimeoutMinutes: 30,
    }
  return { ok: 1 }
}
