/** A thread of its own that asks the server for an answer again and again, so that a busy test does not look like a stall. */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { alice, join } from './client.ts'
import { within } from './eventually.ts'
import type { Prosody } from './prosody.ts'

/** Milliseconds somebody else waits for an answer while something goes on; fails when an answer does not come. */
export async function waitsDuring(
  prosody: Prosody,
  work: () => Promise<unknown>,
): Promise<{ most: number; p99: number }> {
  const { port, domain } = prosody
  const worker = new Worker(new URL(import.meta.url), { workerData: { watched: { port, domain } } })
  try {
    // An error of the worker is one of the promise.
    await within(once(worker, 'message'), 'the watcher logs in', 30_000)
    const watched = once(worker, 'message')
    await Promise.race([work(), watched])
    worker.postMessage('stop')
    const [waits] = (await within(watched, 'the watcher ends', 30_000)) as [number[]]
    waits.sort((a, b) => a - b)
    return { most: waits.at(-1)!, p99: waits[Math.floor(waits.length * 0.99)]! }
  } finally {
    await worker.terminate()
  }
}

if (workerData?.watched) {
  const client = await join(workerData.watched, alice)
  // Without acknowledgements the server would close the stream after some thousands of answers.
  client.answers = true
  const waits: number[] = []
  let running = true
  parentPort!.on('message', () => (running = false))
  parentPort!.postMessage('ready')
  while (running) {
    const start = performance.now()
    const answer = new Promise<void>((resolve) => {
      client.onElement = ({ name }) => name === 'iq' && resolve()
    })
    client.write(`<iq type='get' id='p' to='${client.prosody.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`)
    await within(answer, 'an answer', 30_000)
    waits.push(performance.now() - start)
    await delay(2)
  }
  parentPort!.postMessage(waits)
}
