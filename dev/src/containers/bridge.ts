import { readdir } from 'node:fs/promises'
import { execa } from 'execa'
import type { Machine } from '../machine/machine.ts'
import { nameOf } from '../machine/proc.ts'
import { findOrInstall } from '../servers/server.ts'

export interface Bridge {
  name: string
  remove(): Promise<void>
}

const noBridge: Bridge = { name: 'none', async remove() {} }

/**
 * What our engine is to have in place of docker0: nothing. Only beside another engine it has a bridge of its own, because one that
 * is told to have none removes docker0, whoever uses it.
 */
export async function obtainBridge(machine: Machine): Promise<Bridge> {
  const links = await readdir('/sys/class/net')
  for (const name of leftBridges(links)) await removeLink(name)
  if (!links.includes('docker0')) return noBridge
  const ip = await findOrInstall(machine, 'ip', ['iproute2'])
  if ('not' in ip) throw new Error(`another engine's docker0 is here, and no bridge can be made beside it: ${ip.not}`)
  const name = `im-${process.pid}`
  await execa(ip.path, ['link', 'add', 'name', name, 'type', 'bridge'], { stdin: 'ignore' })
  return { name, remove: () => removeLink(name) }
}

/** Bridges of ours that were left by a process that was killed. */
export const leftBridges = (links: readonly string[]): string[] =>
  links.filter((name) => {
    const [, pid] = /^im-(\d+)$/.exec(name) ?? []
    return pid !== undefined && nameOf(Number(pid)) !== nameOf(process.pid)
  })

const removeLink = async (name: string) =>
  void (await execa('ip', ['link', 'delete', name], { reject: false, stdin: 'ignore' }))
