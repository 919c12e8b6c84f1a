import { Dice } from './dice.ts'

/** `message-2` is the second replica, `prosody.sync` the process that syncs the log of the XMPP server. */
const processWeights = {
  message: 5,
  'message-2': 5,
  prosody: 4,
  'prosody-2': 4,
  'prosody.sync': 1,
  'prosody-2.sync': 1,
  mongodb: 4,
  nats: 3,
  redis: 2,
  user: 2,
  social: 1,
  room: 2,
  org: 1,
  gateway: 2,
}
export type ProcessTarget = keyof typeof processWeights

/** What goes through a proxy of ours: `clients` of the first XMPP server, its `component` connection, and the stores. */
const linkWeights = { clients: 2, 'clients-2': 2, component: 3, 'component-2': 3, mongodb: 3, nats: 3, redis: 1 }
export type LinkTarget = keyof typeof linkWeights

/** Times in ms. */
export type Fault = { at: number; lasts: number } & (
  | { kind: 'kill' | 'stop'; target: ProcessTarget }
  /** `cut`: connections break, and new ones for as long as it lasts. `hold`: nothing gets through, and nobody is told. */
  | { kind: 'cut' | 'hold'; target: LinkTarget }
)

/** The faults of a run: the same ones for the same seed. */
export function scheduleOf(seed: number, options: { faults: number; lastsMs: number }): Fault[] {
  const dice = new Dice(seed)
  const every = options.lastsMs / options.faults
  return Array.from({ length: options.faults }, (_, index): Fault => {
    const at = Math.round(every * index + dice.integer(0, Math.floor(every)))
    const kind = dice.weighted({ kill: 6, stop: 3, cut: 2, hold: 1 })
    // Mostly short, up to 20 s.
    const long = () => 1000 + Math.round(19_000 * (dice.integer(0, 1000) / 1000) ** 3)
    if (kind === 'kill') return { at, kind, target: dice.weighted(processWeights), lasts: dice.integer(0, 2500) }
    if (kind === 'stop') return { at, kind, target: dice.weighted(processWeights), lasts: long() }
    if (kind === 'hold') return { at, kind, target: dice.weighted(linkWeights), lasts: long() }
    return { at, kind, target: dice.weighted(linkWeights), lasts: dice.integer(0, 1500) }
  })
}
