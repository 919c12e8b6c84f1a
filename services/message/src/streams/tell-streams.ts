import type { Bus, Closable } from '@im/service-kit'
import { cutParts } from '../peers/cut-parts.ts'
import type { Peers } from '../peers/peers.ts'
import type { OwnStream, StreamReport } from './own-stream.ts'
import type { FarStream, StreamTable } from './stream-table.ts'

/** Changes of this time (ms) are told together. */
const gatherFor = 10
/** Streams that are gone, of one part. */
const goneAtOnce = 2000

/** What a replica tells of its streams. `all`: the first of several parts that make up everything. */
interface Told {
  from: string
  number: number
  all?: true
  up: Omit<FarStream, 'replica'>[]
  gone: string[]
}

/**
 * Tells the other replicas which streams this one writes to, and hears of theirs. Who has missed something, as the beats
 * tell, asks for everything.
 */
export class ToldStreams {
  readonly #bus: Bus
  readonly #peers: Peers
  readonly #streams: StreamTable
  #number = 0
  #up = new Map<string, OwnStream>()
  #gone = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  readonly #heard = new Map<string, number>()
  readonly #asked = new Map<string, number>()

  constructor(options: { bus: Bus; peers: Peers; streams: StreamTable }) {
    this.#bus = options.bus
    this.#peers = options.peers
    this.#streams = options.streams
    this.#peers.told = () => this.#number
    this.#streams.watch({
      changed: (stream, before) => {
        if (before && !isOtherwise(stream.report, before)) return
        this.#gone.delete(stream.key)
        this.#up.set(stream.key, stream)
        this.#soon()
      },
      ended: (stream) => {
        this.#up.delete(stream.key)
        this.#gone.add(stream.key)
        this.#soon()
      },
    })
    this.#peers.watch({
      heard: ({ id, told }) => {
        if ((this.#heard.get(id) ?? -1) < told) this.#ask(id)
      },
      gone: (id) => {
        this.#heard.delete(id)
        this.#asked.delete(id)
        this.#streams.removeFarWhere(({ replica }) => replica === id)
      },
    })
  }

  start(): Closable {
    const parts = [
      this.#bus.onTell('streams', (text) => this.#hear(JSON.parse(text) as Told)),
      this.#bus.onTell(`streams.${this.#peers.id}`, () => this.#tellAll()),
    ]
    return {
      close: async () => {
        clearTimeout(this.#timer)
        await Promise.all(parts.map((part) => part.close()))
      },
    }
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => this.#tell(), gatherFor)
  }

  #tell(): void {
    this.#timer = undefined
    const [up, gone] = [[...this.#up.values()].map(toldOf), [...this.#gone]]
    this.#up = new Map()
    this.#gone = new Set()
    if (up.length || gone.length)
      for (const part of cutParts(up, lengthOf)) this.#send({ up: part, gone: gone.splice(0, goneAtOnce) })
    while (gone.length) this.#send({ up: [], gone: gone.splice(0, goneAtOnce) })
  }

  #tellAll(): void {
    this.#tell()
    let isFirst = true
    for (const up of cutParts([...this.#streams.own()].map(toldOf), lengthOf)) {
      this.#send({ ...(isFirst ? { all: true } : {}), up, gone: [] })
      isFirst = false
    }
  }

  #send(part: Omit<Told, 'from' | 'number'>): void {
    const told: Told = { from: this.#peers.id, number: ++this.#number, ...part }
    this.#bus.tell('streams', JSON.stringify(told))
  }

  #ask(id: string): void {
    const now = performance.now()
    if (now - (this.#asked.get(id) ?? Number.NEGATIVE_INFINITY) < 1000) return
    this.#asked.set(id, now)
    this.#bus.tell(`streams.${id}`, this.#peers.id)
  }

  #hear({ from, number, all, up, gone }: Told): void {
    if (from === this.#peers.id) return
    const before = this.#heard.get(from)
    if (all) this.#streams.removeFarWhere(({ replica }) => replica === from)
    else if (before !== number - 1) {
      this.#ask(from)
      return
    }
    this.#heard.set(from, number)
    for (const key of gone) this.#streams.removeFar(key, from)
    for (const stream of up) this.#streams.putFar({ ...stream, replica: from })
  }
}

/** What others have to know changed. */
const isOtherwise = (now: StreamReport, before: StreamReport) =>
  isAvailable(now) !== isAvailable(before) || now.carbons !== before.carbons

/** About how many characters it takes: its client has named the resource. */
const lengthOf = ({ key, server, id, resource }: Told['up'][number]) =>
  150 + key.length + server.length + id.length + resource.length

const isAvailable = ({ priority }: StreamReport) => priority !== undefined && priority >= 0

const toldOf = (stream: OwnStream): Omit<FarStream, 'replica'> => ({
  key: stream.key,
  server: stream.server,
  id: stream.id,
  user: stream.report.user,
  resource: stream.resource,
  since: stream.report.since,
  isAvailable: stream.isAvailable,
  carbons: stream.carbons,
})
