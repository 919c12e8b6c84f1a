import { execa } from 'execa'
import type { Machine } from '../machine/machine.ts'
import { firstLine, type NotHere } from './server.ts'

/** Debian's Python finds Debian's packages; another one that is first on PATH does not. */
const pythons = ['/usr/bin/python3', 'python3']

/** A Python that has slixmpp, an XMPP client that others have written; installed by apt where we are root. */
export async function obtainSlixmpp({ env, apt, report }: Machine): Promise<{ python: string } | NotHere> {
  const find = async () => {
    for (const python of pythons) {
      const { exitCode } = await execa(python, ['-c', 'import slixmpp'], { env, extendEnv: false, reject: false })
      if (exitCode === 0) return { python }
    }
    return undefined
  }
  const found = await find()
  if (found) return found
  const advice = 'Install python3-slixmpp.'
  if (!(await apt.available())) return { not: `no Python with slixmpp, and no apt-get or not root. ${advice}` }
  try {
    await apt.install(['python3-slixmpp'], report)
  } catch (cause) {
    return { not: `apt-get could not install python3-slixmpp (${firstLine(cause)}). ${advice}` }
  }
  return (await find()) ?? { not: `apt-get gave no slixmpp. ${advice}` }
}
