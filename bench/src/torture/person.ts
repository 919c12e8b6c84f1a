import { setTimeout as delay } from 'node:timers/promises'
import { archive } from '@im/contracts/message'
import type { TestClient } from '@im/service-kit/testing'
import { composeMessage } from './compose-message.ts'
import type { Device } from './device.ts'
import type { Dice } from './dice.ts'
import type { Kind, Ledger, Message } from './ledger.ts'
import type { Room } from './room.ts'

/** So many messages may wait for their receipts; then a person waits, too. */
const mostUnconfirmed = 60
const rememberedChats = 40

/** Somebody with an account and one or two devices, who writes to a few others. */
export class Person {
  readonly userId: number
  readonly token: string
  readonly devices: readonly Device[]
  /** Whom they write to. */
  peers: readonly number[] = []
  /** Rooms they are in, or were. */
  rooms: readonly Room[] = []
  readonly #api: TestClient
  readonly #ledger: Ledger
  readonly #dice: Dice
  readonly #calling = new Set<Promise<void>>()
  #isOver = false
  /** Newest chats of their own, which they may recall. */
  #chats: Message[] = []

  constructor(options: {
    userId: number
    token: string
    devices: readonly Device[]
    api: TestClient
    ledger: Ledger
    dice: Dice
  }) {
    this.userId = options.userId
    this.token = options.token
    this.devices = options.devices
    this.#api = options.api
    this.#ledger = options.ledger
    this.#dice = options.dice
  }

  /** Does things by the clock until the signal aborts; what a fault has held up is made up for. Resolves when all is answered. */
  async act(perSecond: number, until: AbortSignal): Promise<void> {
    const began = performance.now()
    for (let done = 0; !until.aborted; ) {
      const due = ((performance.now() - began) / 1000) * perSecond
      // Not all at once after a long silence.
      for (let burst = 0; done < due && burst < 5; burst++, done++) if (!this.#actOnce()) break
      await delay(this.#dice.integer(50, 250))
    }
    await Promise.all(this.#calling)
  }

  /** Tries nothing any more. */
  end(): void {
    this.#isOver = true
  }

  /** What people do, and how often. False when too much is unconfirmed. */
  #actOnce(): boolean {
    const device = this.#dice.one(this.devices)
    if (device.outbox.length >= mostUnconfirmed) return false
    const peer = this.#dice.one(this.peers)
    const actions = {
      chat: () => this.#chat(device, peer),
      read: () => this.#read(device, peer),
      recall: () => this.#recall(device),
      clear: () => this.#clear(peer),
      typing: () => this.#send(device, 'typing', peer, { type: 201 }),
      forbidden: () => this.#forbidden(device, peer),
      roomChat: () => this.#roomChat(device),
      move: () => this.#changeRoom((room, isOver) => room.move(this.userId, this.token, isOver)),
      kick: () => this.#changeMember((room, user, isOver) => room.kick(user, this.token, isOver)),
      mute: () => this.#changeMember((room, user, isOver) => room.mute(user, this.token, isOver)),
    }
    const weights = { chat: 700, read: 60, recall: 25, clear: 5, typing: 30, forbidden: 20 }
    actions[this.#dice.weighted({ ...weights, roomChat: 140, move: 8, kick: 6, mute: 6 })]()
    return true
  }

  #chat(device: Device, peer: number): void {
    const message = this.#send(device, 'chat', peer, {})
    this.#chats = [...this.#chats.slice(1 - rememberedChats), message]
  }

  /** Also who is out of the room, or muted, tries it now and then. */
  #roomChat(device: Device): void {
    const room = this.rooms.length ? this.#dice.one(this.rooms) : undefined
    if (!room || (!room.isMember(this.userId) && this.#dice.chance(0.9))) return
    const message = this.#send(device, 'chat', room, {})
    this.#chats = [...this.#chats.slice(1 - rememberedChats), message]
  }

  #changeRoom(change: (room: Room, isOver: () => boolean) => Promise<void>): void {
    if (this.rooms.length) this.#calls(() => change(this.#dice.one(this.rooms), () => this.#isOver))
  }

  /** What only owners do. */
  #changeMember(change: (room: Room, user: number, isOver: () => boolean) => Promise<void>): void {
    const own = this.rooms.filter(({ owner }) => owner === this.userId)
    if (!own.length) return
    const room = this.#dice.one(own)
    this.#calls(() => change(room, this.#dice.one(room.members), () => this.#isOver))
  }

  /** Tells the peer which of their messages have been read. */
  #read(device: Device, peer: number): void {
    const names = [...this.#ledger.newest(peer, this.userId)]
    if (names.length) this.#send(device, 'read', peer, { type: 26, content: names.join(',') }, names)
  }

  /** Apps call the API first; old ones only send the 202. */
  #recall(device: Device): void {
    const chat = this.#chats.length ? this.#dice.one(this.#chats) : undefined
    if (!chat?.sentAt.length) return
    this.#chats = this.#chats.filter((other) => other !== chat)
    const asksApi = this.#dice.chance(0.5)
    const params = { messageId: chat.id, delete: 2, ...(chat.room ? { type: 2 as const, roomJid: chat.room.jid } : {}) }
    this.#calls(async () => {
      if (asksApi) await this.#api.call(archive.deleteMessages, params, { token: this.token }).catch(() => {})
      this.#send(device, 'recall', chat.room ?? chat.to, { type: 202, content: chat.id }, [chat.id])
    })
  }

  /** Again and again until it is done. */
  #clear(peer: number): void {
    const clear = { user: this.userId, peer, from: performance.now(), to: Number.POSITIVE_INFINITY }
    this.#ledger.clears.push(clear)
    this.#calls(async () => {
      while (!this.#isOver) {
        try {
          await this.#api.call(archive.clearChats, { toUserId: peer }, { token: this.token })
          clear.to = performance.now()
          return
        } catch {
          await delay(300)
        }
      }
    })
  }

  /** What the server must refuse: somebody else's name, a type of the server, a type that is none, a user who does not exist. */
  #forbidden(device: Device, peer: number): void {
    const forms = [
      () => this.#send(device, 'forbidden', peer, { fromUserId: String(peer) }),
      () => this.#send(device, 'forbidden', peer, { type: 903 }),
      () => this.#send(device, 'forbidden', peer, { type: 1.5 }),
      () => this.#send(device, 'forbidden', 99_999_999, {}),
    ]
    this.#dice.one(forms)()
  }

  #send(device: Device, kind: Kind, to: number | Room, fields: object, names: readonly string[] = []): Message {
    const message = composeMessage({ device, kind, from: this.userId, to, fields, names, dice: this.#dice })
    this.#ledger.messages.set(message.id, message)
    device.send(message)
    return message
  }

  #calls(work: () => Promise<void>): void {
    const calling = work().finally(() => this.#calling.delete(calling))
    this.#calling.add(calling)
  }
}
