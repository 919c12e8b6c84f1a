import { execa } from 'execa'
import { test } from 'tap'
import { containerLaunch } from '../src/machine/docker.ts'
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
