/** A thread of its own that asks the server for an answer again and again, so that a busy test does not look like a stall. */
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { alice, join } from './client.ts'
import type { Prosody } from './prosody.ts'

/** Milliseconds somebody else waits for an answer while something goes on. */
export async function waitsDuring(
  prosody: Prosody,
  work: () => Promise<unknown>,
): Promise<{ most: number; p99: number }> {
  const { port, domain } = prosody
  const worker = new Worker(new URL(import.meta.url), { workerData: { watched: { port, domain } } })
  await new Promise((resolve) => worker.once('message', resolve))
  await work()
  const waits = await new Promise<number[]>((resolve) => {
    worker.once('message', resolve)
    worker.postMessage('stop')
  })
  await worker.terminate()
  waits.sort((a, b) => a - b)
  return { most: waits.at(-1)!, p99: waits[Math.floor(waits.length * 0.99)]! }
}

if (workerData?.watched) {
  const client = await join(workerData.watched, alice)
  const waits: number[] = []
  let running = true
  parentPort!.on('message', () => (running = false))
  parentPort!.postMessage('ready')
  while (running) {
    const start = performance.now()
    await new Promise((resolve) => {
      client.onElement = resolve
      client.write(`<iq type='get' id='p' to='${client.prosody.domain}'><ping xmlns='urn:xmpp:ping'/></iq>`)
    })
    waits.push(performance.now() - start)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  parentPort!.postMessage(waits)
}
