/** Stands in for sync-files.pl, so that a test sees when the server asks for a sync and decides when it is done. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { eventually } from './eventually.ts'
import type { Prosody, TestContext } from './prosody.ts'

/** Environment of a server whose sync helper is the test. */
export const syncByTest = { XMPP_SYNC_PROGRAM: '/bin/true' }

export class SyncHelper {
  /** Paths the server asked for, and which of them are answered. */
  readonly asked: string[] = []
  answered = 0
  /** What each further question is answered with at once; undefined: it waits. */
  automatic: string | undefined = 'ok'
  socket!: Socket

  async connect(prosody: Prosody): Promise<this> {
    const path = join(prosody.dataDir, 'sync.sock')
    await eventually(async () => {
      const socket = connect(path)
      await once(socket, 'connect')
      this.socket = socket
      return true
    })
    let rest = ''
    this.socket.on('data', (chunk) => {
      const lines = (rest + chunk.toString()).split('\n')
      rest = lines.pop()!
      this.asked.push(...lines)
      if (this.automatic !== undefined) this.answer(this.automatic)
    })
    this.socket.on('error', () => {})
    return this
  }

  /** Answers all questions that wait. */
  answer(line = 'ok'): void {
    const waiting = this.asked.length - this.answered
    this.answered = this.asked.length
    this.socket.write(`${line}\n`.repeat(waiting))
  }

  hold(): void {
    this.automatic = undefined
  }

  release(line = 'ok'): void {
    this.automatic = line
    this.answer(line)
  }

  /** The server has asked and waits. */
  async waiting(): Promise<void> {
    await eventually(() => this.asked.length > this.answered)
  }
}

export async function startSyncHelper(t: TestContext, prosody: Prosody): Promise<SyncHelper> {
  const helper = await new SyncHelper().connect(prosody)
  t.teardown(() => helper.socket.destroy())
  return helper
}
