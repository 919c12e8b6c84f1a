/** The stores that we run ourselves, and what keeps them. */
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { test } from 'tap'
import { environmentOf, overlays, readObjects, render, workloadsOf } from './manifests.ts'
import { secretsOf } from './secrets.ts'

test('NATS takes its password for text, whatever it looks like', async (t) => {
  for (const overlay of overlays) {
    const objects = await render(`overlays/${overlay}`)
    const secrets = { ...secretsOf(overlay), NATS_PASSWORD: '12e5' }
    const envOf = (wanted: string) =>
      environmentOf(workloadsOf(objects).find(({ name }) => name === wanted)!, objects, secrets)
    t.equal(envOf('nats')['NATS_PASSWORD'], '"12e5"')
    t.equal(new URL(envOf('user')['NATS_URL']!).password, '12e5')
  }
})

test('MongoDB unlocks what a killed service was writing after 15 seconds', async (t) => {
  const { container } = workloadsOf(await render('overlays/small')).find(({ name }) => name === 'mongodb')!
  const args = container.args ?? []
  t.equal(args[args.indexOf('--setParameter') + 1], 'transactionLifetimeLimitSeconds=15')
})

test('half a dump is no backup, and old ones stay until there is a new one', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'im-backup-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const job = (await readObjects('examples/backup.yaml')).find(({ kind }) => kind === 'CronJob')
  const [sh, ...args] = job!.spec.jobTemplate.spec.template.spec.containers[0].command as string[]
  const dump = join(folder, 'mongodump')
  await writeFile(dump, '#!/bin/sh\nfor last; do :; done\necho dump >$(echo $last | cut -d= -f2); exit $CODE\n')
  await chmod(dump, 0o755)
  const backUp = (code: string) =>
    execa(
      sh!,
      args.map((argument) => argument.replaceAll('/backup', folder)),
      { env: { PATH: `${folder}:${process.env['PATH']}`, CODE: code }, reject: false },
    )
  const backups = async () => (await readdir(folder)).filter((name) => /\.(gz|part)$/.test(name))
  const old = join(folder, '2020-01-01T031700Z.gz')
  await writeFile(old, 'whole')
  await execa('touch', ['-d', '2020-01-01', old])

  t.equal((await backUp('1')).exitCode, 1)
  t.ok((await backups()).includes('2020-01-01T031700Z.gz'))
  t.equal((await backups()).filter((name) => name.endsWith('.gz')).length, 1)
  t.equal((await backUp('0')).exitCode, 0)
  t.match(await backups(), [/^20\d\d-\d\d-\d\dT\d{6}Z\.gz$/], 'neither the old one nor the half one')
})
