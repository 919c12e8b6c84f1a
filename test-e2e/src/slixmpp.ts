import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { thisMachine } from '@im/dev/machine'
import { silentReporter } from '@im/dev/reporter'
import { obtainSlixmpp } from '@im/dev/slixmpp'
import { eventually } from '@im/service-kit/testing'
import type { Test } from 'tap'
import type { Person } from './people.ts'
import { chatBody } from './phone.ts'
import type { TestStack } from './stack.ts'

/** What `slixmpp_client.py` tells, one line each. */
export interface Told {
  event: string
  id?: string
  sender?: string
  to?: string
  body?: string
  delayed?: boolean
  type?: string
  codes?: number[]
  condition?: string | null
  error?: string
  features?: string[]
  software?: string
}

/** A device of a user whose XMPP client is slixmpp. */
export interface SlixmppDevice {
  readonly told: Told[]
  /** Orders of `slixmpp_client.py`. */
  order(what: { do: string } & Record<string, unknown>): void
  /** Sends what an app would; returns the message's id. */
  say(to: string, content: string, more?: { type?: 'chat' | 'groupchat' }): string
  /** Waits for something told after the first `from` lines. */
  tells(match: (told: Told) => boolean, from?: number): Promise<Told>
}

export async function startSlixmpp(
  t: Test,
  stack: TestStack,
  person: Person,
  resource: string,
): Promise<SlixmppDevice> {
  const found = await obtainSlixmpp(thisMachine(process.env, silentReporter))
  if ('not' in found) throw new Error(found.not)
  const jid = `${person.userId}@${stack.xmppDomain}/${resource}`
  const script = join(import.meta.dirname, 'slixmpp_client.py')
  const child = spawn(found.python, [script, '127.0.0.1', String(stack.xmppPort), jid, person.token], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })
  const told: Told[] = []
  createInterface(child.stdout).on('line', (line) => {
    // The library prints something of its own now and then.
    if (line.startsWith('{')) told.push(JSON.parse(line))
  })
  const order: SlixmppDevice['order'] = (what) => child.stdin.write(`${JSON.stringify(what)}\n`)
  const device: SlixmppDevice = {
    told,
    order,
    say(to, content, { type = 'chat' } = {}) {
      const { messageId, body } = chatBody({
        from: person.userId,
        to: Number.parseInt(to, 10),
        content,
        toUserId: to.split('@')[0],
      })
      order({ do: 'send', to, id: messageId, body, type })
      return messageId
    },
    tells: (match, from = 0) => eventually(() => told.slice(from).find(match), 15_000),
  }
  await device.tells(({ event }) => event === 'started')
  return device
}
