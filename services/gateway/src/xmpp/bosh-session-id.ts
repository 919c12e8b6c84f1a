/** The longest start tag (characters), with what stands before it. Those of clients and servers have some hundred. */
export const longestTag = 4096

/**
 * The start tag of a BOSH body, up to its end. It is looked for at one place only, and attributes behind blanks only: nothing that a
 * client sends takes long.
 */
const startTag = /^(\s*(?:<\?[^>]*>\s*)?)(<body(?=[\s/>])(?:[^>"']|"[^"]*"|'[^']*')*>)/
const attributes = /(?<=\s)([^\s=<>"'/]+)\s*=\s*("[^"]*"|'[^']*')/g

/** Whether the start tag of the body is there as a whole. */
export const hasStartTag = (xml: string): boolean => startTag.test(xml.slice(0, longestTag))

/** Whether the body begins and does not end. The XMPP server would wait for the rest, which can't come any more. */
export function isCutShort(xml: string): boolean {
  const tag = startTag.exec(xml.slice(0, longestTag))?.[0]
  if (tag === undefined || tag.endsWith('/>')) return false
  return !/^<\/body\s*>\s*$/.test(xml.slice(Math.max(0, xml.lastIndexOf('</body'))))
}

/** An attribute of the body; undefined when it has none of this name. */
function attributeOf(xml: string, wanted: string): string | undefined {
  for (const [, name, value] of startTag.exec(xml.slice(0, longestTag))?.[2]?.matchAll(attributes) ?? [])
    if (name === wanted) return value?.slice(1, -1)
  return undefined
}

/** The session id (`sid`, XEP-0124 §7) that a BOSH body names; undefined when it asks for a new session. */
export const sessionIdOf = (xml: string): string | undefined => attributeOf(xml, 'sid')

/** Whether the body numbers its request (`rid`, XEP-0124 §4). In a session the XMPP server fails on one that does not. */
export const hasRequestId = (xml: string): boolean => /^\d{1,16}$/.test(attributeOf(xml, 'rid') ?? '')

/** The same body with another session id. The rest stays as it is, character by character. */
export function withSessionId(xml: string, change: (sid: string) => string): string {
  const head = xml.slice(0, longestTag).replace(startTag, (_, prolog: string, tag: string) => {
    const changed = tag.replace(attributes, (attribute, name: string, value: string) => {
      if (name !== 'sid') return attribute
      return `sid=${value[0]}${change(value.slice(1, -1))}${value[0]}`
    })
    return prolog + changed
  })
  return head + xml.slice(longestTag)
}
