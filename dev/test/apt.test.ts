import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { aptInstaller } from '../src/machine/apt.ts'
import { silentReporter } from '../src/reporter.ts'
import { emptyMachine } from './fake-machine.ts'

test('an installation starts no service, and leaves nothing that keeps others from starting theirs', async (t) => {
  const machine = await emptyMachine(t)
  const calls = join(machine.folder, 'calls')
  // What maintainer scripts ask before they start a service: systemctl, or runlevel where there is no systemd.
  await machine.script('apt-get', `echo "$* offline=$SYSTEMD_OFFLINE runlevel=$RUNLEVEL" >> ${calls}`)
  await aptInstaller({ ...machine.env, SYSTEMD_OFFLINE: '' }).install(['redis-server'], silentReporter)
  const [update = '', install = ''] = (await readFile(calls, 'utf8')).trim().split('\n')
  t.match(update, / update offline= runlevel=$/)
  t.match(install, / install .*redis-server offline=1 runlevel=1$/)
})
