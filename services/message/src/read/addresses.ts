export interface Jid {
  local: string
  domain: string
  resource: string
}

export function parseJid(text: string): Jid {
  const slash = text.indexOf('/')
  const bare = slash < 0 ? text : text.slice(0, slash)
  const at = bare.indexOf('@')
  return {
    local: at < 0 ? '' : bare.slice(0, at),
    domain: bare.slice(at + 1).toLowerCase(),
    resource: slash < 0 ? '' : text.slice(slash + 1),
  }
}

export const bareJid = ({ local, domain }: Jid) => (local ? `${local}@${domain}` : domain)

/** The user a local part stands for: one spelling each (spec xmpp.md §1). Undefined when it is none. */
export function userIdOf(local: string): number | undefined {
  if (!/^[1-9]\d{0,9}$/.test(local)) return undefined
  const id = Number(local)
  return id <= 2147483647 ? id : undefined
}

/** The room a local part stands for: letters have no case there. Undefined when no room has such a name. */
export function roomJidOf(local: string): string | undefined {
  const jid = local.toLowerCase()
  return /^[a-z0-9_-]{1,64}$/.test(jid) ? jid : undefined
}

/** Names a stream among those of all XMPP servers. */
export const streamKey = (server: string, id: string) => `${server}/${id}`
