import { execa } from 'execa'
import { test } from 'tap'
import { leftBridges } from '../src/containers/bridge.ts'
import { containerLaunch, dockerEngine } from '../src/machine/docker.ts'
import { silentReporter } from '../src/reporter.ts'
import { emptyMachine } from './fake-machine.ts'

test('a container gets its settings past the command line, where everybody could read the secrets', async (t) => {
  const machine = await emptyMachine(t)
  await machine.script('docker', 'echo "$*"; echo "key $SERVICE_KEY"')
  const { args, env } = containerLaunch({
    ...{ name: 'prosody', folder: machine.folder, image: 'prosody', ports: [], volumes: [] },
    env: { SERVICE_KEY: 'hidden', XMPP_DOMAIN: 'im.test' },
  })
  const { stdout } = await execa('docker', args, { env: { ...env, PATH: machine.env['PATH'] } })
  const [commandLine = '', key] = stdout.split('\n')
  t.match(commandLine, / -e SERVICE_KEY -e XMPP_DOMAIN /)
  t.notMatch(commandLine, /hidden/)
  t.equal(key, 'key hidden')
})

test('a build that fails says why in its first line', async (t) => {
  const machine = await emptyMachine(t)
  await machine.script(
    'docker',
    'echo "#9 [5/5] RUN useradd"; echo "ERROR: failed to solve: no network" >&2; echo; exit 1',
  )
  const docker = dockerEngine(machine.env)
  const image = { tag: 'node:24', context: machine.folder, dockerfile: 'Dockerfile' }
  await t.rejects(docker.build(image, silentReporter), {
    message: /^node:24 can't be built: ERROR: failed to solve: no network\n#9 /,
  })
})

test('a bridge that a killed run has left is found, and none of a run or of others', async (t) => {
  const run = `im-${process.pid}`
  // No process has such a number.
  t.strictSame(leftBridges(['lo', 'docker0', run, 'im-4194305', 'im-4194305x']), ['im-4194305'])
})
