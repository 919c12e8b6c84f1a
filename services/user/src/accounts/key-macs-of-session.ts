import type { Deps } from '../deps.ts'
import { keptMac, messageKeyMacs } from '../secrets/key-macs.ts'
import { telephoneText } from '../users/telephones.ts'
import type { UserDocument } from '../users/user-document.ts'

/** What a session keeps of the macs that message keys need: one with the area code and one without, because apps send either. */
export function keyMacsOf(
  { config }: Pick<Deps, 'config'>,
  { telephone, userName }: Pick<UserDocument, 'telephone' | 'userName'>,
  passwordMd5: string,
): string[] {
  const names = [telephoneText({ telephone, userName }), telephone?.number].filter((name) => name !== undefined)
  return messageKeyMacs(names, passwordMd5, config.apiKey).map((mac) => keptMac(config.pepper, mac))
}
