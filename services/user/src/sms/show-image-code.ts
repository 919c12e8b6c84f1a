import { ContractError } from '@im/contracts'
import type { Deps } from '../deps.ts'
import { readWholeTelephone, telephoneKey } from '../users/telephones.ts'
import { drawCode } from './draw-code.ts'

/** Makes a new image code for a number, as PNG. It replaces the previous one. `text` is area code + number. */
export async function showImageCode({ imageCodes }: Pick<Deps, 'imageCodes'>, text: string): Promise<Uint8Array> {
  const telephone = readWholeTelephone(text)
  if (!telephone) throw new ContractError('TelephoneInvalid')
  const { code, png } = await drawCode()
  await imageCodes.remember(telephoneKey(telephone), code)
  return png
}
