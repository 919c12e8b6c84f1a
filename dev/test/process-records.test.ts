import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { claimFolder, processIdentity, recordProcess, releaseFolder } from '../src/machine/process-records.ts'
import { silentReporter } from '../src/reporter.ts'
import { temporaryFolder } from './fake-machine.ts'

async function idleProcess(t: Test): Promise<ChildProcess & { pid: number }> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  t.after(() => child.kill('SIGKILL'))
  await once(child, 'spawn')
  return child as ChildProcess & { pid: number }
}

test('a server that a killed run left behind is stopped, with a line that says so', async (t) => {
  const folder = await temporaryFolder(t)
  const left = await idleProcess(t)
  await recordProcess(folder, 'redis', left.pid)
  const lines: string[] = []
  await claimFolder(folder, { info: (line) => lines.push(line), progress() {} })
  t.equal(await processIdentity(left.pid), undefined)
  t.strictSame(lines, [`Stopping redis (pid ${left.pid}), left over from an earlier run`])
  t.strictSame(await readdir(folder), ['owner.json'])
})

test('a process that only got the pid of ours is left alone', async (t) => {
  const folder = await temporaryFolder(t)
  const stranger = await idleProcess(t)
  await writeFile(join(folder, 'redis.json'), JSON.stringify({ pid: stranger.pid, identity: 'another boot:1' }))
  await claimFolder(folder, silentReporter)
  t.not(await processIdentity(stranger.pid), undefined)
})

test('a folder in use by a living run is refused; one whose owner is dead is not', async (t) => {
  const folder = await temporaryFolder(t)
  const other = await idleProcess(t)
  await recordProcess(folder, 'owner', other.pid)
  await t.rejects(claimFolder(folder, silentReporter), new RegExp(`in use by another run \\(pid ${other.pid}\\)`))
  t.not(await processIdentity(other.pid), undefined)
  other.kill('SIGKILL')
  await once(other, 'exit')
  await claimFolder(folder, silentReporter)
  await releaseFolder(folder)
  t.strictSame(await readdir(folder), [])
})

test('a record that was only half written does no harm', async (t) => {
  const folder = await temporaryFolder(t)
  await writeFile(join(folder, 'nats.json'), '{"pid": 12')
  await claimFolder(folder, silentReporter)
  t.strictSame(await readdir(folder), ['owner.json'])
})
