import { ContractError, type Params, type RequestInfo } from '@im/contracts'
import { fileAddressesIn, type storedFiles } from '@im/contracts/message'
import type { ServerConfig } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { chargeUpload } from './daily-uploads.ts'
import { extensionOfKey, newFileKey, thumbnailKey } from './file-keys.ts'
import { expiryOf } from './form-fields.ts'
import { storeFiles } from './store-files.ts'

/** Copies one of our files into the caller's folder. Throws FileNotFound, also for files elsewhere. */
export async function copyFile(
  deps: Deps,
  caller: number,
  { paths: [path = ''], validTime }: Params<(typeof storedFiles)['copyFile']>,
  request: RequestInfo,
): Promise<{ url: string }> {
  const config = await deps.serverConfig.get()
  const [address] = isOurs(path, config, request) ? fileAddressesIn(path) : []
  const [found] = address ? await deps.files.byNames([address.name]) : []
  if (!found || found.owner !== address?.owner) throw new ContractError('FileNotFound')
  await chargeUpload(deps, caller, found.bytes)
  const { now } = deps
  const part = found.key.includes('/o/') ? 'o' : 'f'
  const { name, key } = newFileKey(caller, part, extensionOfKey(found.key), now())
  const { kept: _kept, expireAt: _expireAt, isGoing: _isGoing, isTakenBack: _isTakenBack, ...same } = found
  const row = { ...same, _id: name, owner: caller, key, createdAt: new Date(now()) }
  await storeFiles(deps, [row], expiryOf(validTime, now()), async () => {
    const isCopied = await deps.fileStore.copy(found.key, key)
    if (!isCopied) throw new ContractError('FileNotFound')
    if (found.hasThumbnail) await deps.fileStore.copy(thumbnailKey(found.key), thumbnailKey(key))
  })
  return { url: config.downloadUrl + key }
}

/** A path, or an address whose host is ours: as the configuration names it, or as this call does. */
function isOurs(path: string, { downloadUrl, uploadUrl, apiUrl }: ServerConfig, { host }: RequestInfo): boolean {
  if (!/^[a-z][a-z0-9+.-]*:|^\/\//i.test(path)) return true
  const hostOf = (url: string) => (URL.canParse(url) ? new URL(url).host : undefined)
  const own = [downloadUrl, uploadUrl, apiUrl].map(hostOf)
  const named = hostOf(path.startsWith('//') ? `http:${path}` : path)
  return named !== undefined && (own.includes(named) || named === host)
}
