import { type Caller, ContractError } from '@im/contracts'
import { messageKeysChanged } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { keepOf } from '../forget-user.ts'
import { constantTimeEqual, keptMac } from '../secrets/key-macs.ts'

interface Pair {
  publicKey: string
  privateKey: string
}

/** Stores new message keys and tells the friends. The mac shows that the app knows the login password. */
export async function uploadMessageKeys(
  deps: Deps,
  { userId, sessionId }: Pick<Caller, 'userId' | 'sessionId'>,
  pairs: { dh?: Pair; rsa?: Pair },
  mac: string,
): Promise<void> {
  const { keys, outbox, now } = deps
  await checkMac(deps, sessionId, mac)
  const keep = () =>
    outbox.commit(async (change) => {
      await keys.setMessageKeys(userId, pairs, Math.floor(now() / 1000), change)
      change.announce(messageKeysChanged, String(userId), { userId, at: now() })
    })
  await keepOf(deps, userId, keep)
}

/** The password is not stored, so the session keeps what its macs must be. One that never saw the password has none. */
async function checkMac({ sessions, config, now }: Deps, sessionId: string, mac: string): Promise<void> {
  if (config.authKeysMac === 'off') return
  const expected = (await sessions.live(sessionId, now()))?.keyMacs ?? []
  const given = Buffer.from(keptMac(config.pepper, Buffer.from(mac, 'base64')))
  if (!expected.some((kept) => constantTimeEqual(Buffer.from(kept), given))) throw new ContractError('MacInvalid')
}
