import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { mongodb } from '../src/servers/mongodb.ts'
import { emptyMachine, type FakeMachine } from './fake-machine.ts'

const tools = ['gcc', 'g++', 'cmake', 'ninja']

/** A cargo that notes each build and does what `body` says with $root, the folder to install into. */
async function cargo(machine: FakeMachine, body: string, version = '1.95.0'): Promise<() => Promise<number>> {
  const notes = join(machine.folder, 'builds')
  await writeFile(notes, '')
  await machine.program('cargo', '')
  await writeFile(
    join(machine.folder, 'bin/cargo'),
    `#!/bin/sh
[ "$1" = --version ] && echo 'cargo ${version}' && exit
echo "$*" >> ${notes}
for root; do :; done
${body}`,
  )
  await chmod(join(machine.folder, 'bin/cargo'), 0o755)
  return async () => (await readFile(notes, 'utf8')).split('\n').filter(Boolean).length
}

const works = `echo '   Compiling one v1.0.0' >&2
/bin/sleep 0.3
/bin/mkdir -p "$root/bin" && echo > "$root/bin/secantusd-rs" && /bin/chmod +x "$root/bin/secantusd-rs"`

async function builder(t: Parameters<typeof emptyMachine>[0]): Promise<FakeMachine> {
  const machine = await emptyMachine(t)
  for (const tool of tools) await machine.program(tool, '')
  return machine
}

test('secantusd-rs is built into the cache, once for two runs at the same time, with the pinned version', async (t) => {
  const machine = await builder(t)
  const builds = await cargo(machine, works)
  const progress: string[] = []
  const report = { info() {}, progress: (line: string) => void progress.push(line) }
  const choices = await Promise.all([1, 2].map(() => mongodb.choose({ ...machine, report }, machine.folder)))
  for (const { what } of choices) t.match(what, /SecantusDB 0\.5\.3-beta\.196/)
  t.equal(await builds(), 1)
  t.match(
    await readFile(join(machine.folder, 'builds'), 'utf8'),
    /^install secantus-mdb --version 0\.5\.3-beta\.196 --locked --ignore-rust-version/,
  )
  t.ok(
    progress.some((line) => /1 of about \d+ crates/.test(line)),
    progress.join('\n'),
  )
})

test('a build that fails is a reason in the error, with what the compiler said', async (t) => {
  const machine = await builder(t)
  await cargo(machine, "echo 'error: no space left on device' >&2; exit 101")
  await t.rejects(mongodb.choose(machine, machine.folder), /can't be built: error: no space left on device/)
})

test('an old cargo and a missing compiler are reasons, not attempts', async (t) => {
  const old = await builder(t)
  const builds = await cargo(old, works, '1.63.0')
  await t.rejects(mongodb.choose(old, old.folder), /cargo 1\.63 is older than 1\.90/)
  t.equal(await builds(), 0)

  const bare = await emptyMachine(t)
  await cargo(bare, works)
  await t.rejects(mongodb.choose(bare, bare.folder), /gcc, g\+\+, cmake, ninja-build not on PATH/)
})
