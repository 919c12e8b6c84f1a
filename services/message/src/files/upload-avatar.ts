import { randomUUID } from 'node:crypto'
import { type Call, ContractError } from '@im/contracts'
import { uploadLimits, type uploads } from '@im/contracts/message'
import { internalMemberships } from '@im/contracts/room'
import type { Deps } from '../deps.ts'
import { sendNotice } from '../notices/send-notice.ts'
import { chargeUpload } from './daily-uploads.ts'
import { type AvatarSize, roomAvatarKey, userAvatarKey } from './file-keys.ts'
import { refuseForeignUser, userIdIn } from './form-fields.ts'
import { bytesOf } from './images.ts'
import { demandFiles, demandUser, type ReceivedForm, receiveForm } from './receive-form.ts'
import { sniffImage } from './sniff-image.ts'
import { isAtAddress } from './uploader.ts'

const limits = { fileBytes: uploadLimits.avatarBytes, files: uploadLimits.files }

/** Avatars that a user may replace without a token, a day. */
const withoutToken = { max: 10, seconds: 86_400 }

/** Replaces the caller's avatar and tells their devices. */
export async function uploadAvatar(deps: Deps, call: Call<(typeof uploads)['uploadAvatar']>) {
  return await receiveForm(deps, call, { limits, charge: chargeOf(deps) }, async (form) => {
    const owner = await avatarOwner(deps, form, call.request.ip)
    const urls = await replace(deps, form, owner, (size) => userAvatarKey(size, owner))
    // The avatar is stored, and whoever looks sees it: devices that are not told see it a little later.
    await sendNotice(deps, `avatar ${randomUUID()}`, { userId: owner, type: 801, onlyMultipleDevices: true }).catch(
      (error: unknown) => deps.log.warn({ err: error, userId: owner }, 'devices were not told of a new avatar'),
    )
    return urls
  })
}

/** Replaces the avatar of a room. Its owner and admins may. */
export async function uploadRoomAvatar(deps: Deps, call: Call<(typeof uploads)['uploadRoomAvatar']>) {
  return await receiveForm(deps, call, { limits, charge: chargeOf(deps) }, async (form) => {
    const caller = demandUser(form)
    refuseForeignUser(form.fields, caller)
    const room = form.fields.get('jid') ?? form.fields.get('roomId')
    if (room === undefined) throw new ContractError('MissingParam', { detail: 'jid' })
    const { deadline, signal } = call
    const { exists, jid, role, locked } = /^[\w-]{1,64}$/.test(room)
      ? await deps.room.call(internalMemberships.getMembership, { userId: caller, room }, { deadline, signal })
      : { exists: 0, jid: '', role: 0, locked: 0 }
    if (!exists) throw new ContractError('RoomNotFound')
    if (role !== 1 && role !== 2) throw new ContractError('PermissionDenied')
    if (locked) throw new ContractError('RoomLocked')
    return await replace(deps, form, caller, (size) => roomAvatarKey(size, jid))
  })
}

const chargeOf = (deps: Deps) => (userId: number, bytes: number) => chargeUpload(deps, userId, bytes)

/** Apps send no token here: then the user must have called from the same address a moment ago (spec 12-files.md). */
async function avatarOwner(deps: Deps, { userId, fields }: ReceivedForm, ip: string): Promise<number> {
  if (userId !== undefined) {
    refuseForeignUser(fields, userId)
    return userId
  }
  const named = userIdIn(fields)
  const isAllowed = deps.config.avatarWithoutToken === 'same-ip' && named !== undefined
  if (!isAllowed || !(await isAtAddress(deps, named, ip))) throw new ContractError('TokenMissing')
  await deps.rateCounters.demand('RateLimited', { key: `avatar-without-token:${named}`, ...withoutToken })
  return named
}

async function replace(
  deps: Deps,
  form: ReceivedForm,
  user: number,
  keyOf: (size: AvatarSize) => string,
): Promise<{ oUrl: string; tUrl: string }> {
  const [file] = demandFiles(form)
  const extension = file && (await sniffImage(file.head))
  if (!file || extension === undefined) throw new ContractError('FileTypeNotAllowed')
  const { downloadAvatarUrl } = await deps.serverConfig.get()
  const made = { o: await form.newPath(), t: await form.newPath() }
  await deps.images.avatar(user, { path: file.path, extension }, made)
  for (const size of ['t', 'o'] as const)
    await deps.fileStore.put(keyOf(size), made[size], { bytes: await bytesOf(made[size]), type: 'image/jpeg' })
  return { oUrl: downloadAvatarUrl + keyOf('o'), tUrl: downloadAvatarUrl + keyOf('t') }
}
