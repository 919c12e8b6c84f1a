import type { Element } from '@xmpp/component'
import { userIdOf } from '../read/addresses.ts'
import type { StreamReport } from '../streams/own-stream.ts'
import { frameNamespace, frameVersion, isOfFrames, VersionMismatch } from './frame-namespace.ts'

/** The first frame of each connection: which server and log this is, and where its marks stand. */
export interface Hello {
  kind: 'hello'
  server: string
  log: string
  epoch: number
  released: number
  last: number
}

/** What an XMPP server tells (deploy/xmpp/README.md). */
export type Frame =
  | Hello
  | { kind: 'stream'; report: StreamReport }
  | { kind: 'ready' }
  | { kind: 'stream-end'; id: string; confirmed: number; missed: string[] }
  | { kind: 'entry'; seq: number; stamp: number; stream: string; from: string; stanza: Element }
  | { kind: 'hole'; from: number; to: number }
  | { kind: 'confirmed'; marks: { stream: string; upTo: number }[] }

/** Frames of a stanza in their order. Throws when a server does not keep to the protocol. */
export function* readFrames(stanza: Element): Generator<Frame> {
  for (const part of stanza.getChildElements()) {
    if (part.name === 'hello' && isOfFrames(part.attrs['xmlns'])) demandVersion(part)
    if (part.attrs['xmlns'] !== frameNamespace) continue
    const frame = readFrame(part)
    if (frame) yield frame
  }
}

function demandVersion({ attrs }: Element): void {
  if (attrs['version'] !== frameVersion || attrs['xmlns'] !== frameNamespace)
    throw new VersionMismatch(attrs['version'])
}

function readFrame(part: Element): Frame | undefined {
  const { attrs } = part
  switch (part.name) {
    case 'hello':
      return {
        kind: 'hello',
        server: text(attrs['server']),
        log: text(attrs['log']),
        epoch: number(attrs['epoch']),
        released: number(attrs['released']),
        last: number(attrs['last']),
      }
    case 'stream':
      return { kind: 'stream', report: readReport(part) }
    case 'ready':
      return { kind: 'ready' }
    case 'stream-end':
      return {
        kind: 'stream-end',
        id: text(attrs['id']),
        confirmed: number(attrs['confirmed'] ?? '0'),
        missed: (attrs['missed'] ?? '').split(' ').filter(Boolean),
      }
    case 'entry': {
      const [stanza] = part.getChildElements()
      if (!stanza) throw new Error('an entry without a stanza')
      const { seq, stamp, stream = '', from } = attrs
      return { kind: 'entry', seq: number(seq), stamp: number(stamp), stream, from: text(from), stanza }
    }
    case 'hole':
      return { kind: 'hole', from: number(attrs['from']), to: number(attrs['to']) }
    case 'confirmed':
      return { kind: 'confirmed', marks: text(attrs['to']).split(' ').filter(Boolean).map(readMark) }
    default:
      return undefined
  }
}

function readReport(part: Element): StreamReport {
  const { attrs } = part
  const user = userIdOf(attrs['user'] ?? '')
  if (user === undefined) throw new Error(`a stream of ${attrs['user']}, who is no user`)
  const { confirms = 'write' } = attrs
  if (confirms !== 'sm' && confirms !== 'ack' && confirms !== 'write')
    throw new Error(`a stream confirms by ${confirms}`)
  return {
    id: text(attrs['id']),
    user,
    resource: attrs['resource'] ?? '',
    login: attrs['login'] ?? '',
    since: number(attrs['since'] ?? '0'),
    priority: attrs['priority'] === undefined ? undefined : Number(attrs['priority']),
    carbons: attrs['carbons'] === '1',
    confirms,
    waiting: attrs['waiting'] === '1',
    delivered: number(attrs['delivered'] ?? '0'),
    confirmed: number(attrs['confirmed'] ?? '0'),
    notes: new Map(
      part
        .getChildElements()
        .filter(({ name }) => name === 'note')
        .map(({ attrs: note }) => [note['name'] ?? '', note['value'] ?? '']),
    ),
  }
}

function readMark(mark: string): { stream: string; upTo: number } {
  const colon = mark.lastIndexOf(':')
  return { stream: mark.slice(0, colon), upTo: number(mark.slice(colon + 1)) }
}

function text(value: string | undefined): string {
  if (!value) throw new Error('a frame lacks an attribute')
  return value
}

function number(value: string | undefined): number {
  const parsed = Number(value)
  if (value === undefined || value === '' || !Number.isSafeInteger(parsed) || parsed < 0)
    throw new Error(`a frame has ${value} where a number belongs`)
  return parsed
}
