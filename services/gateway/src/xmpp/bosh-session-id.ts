/** The start tag of a BOSH body, up to its end. */
const startTag = /<body(?=[\s/>])(?:[^>"']|"[^"]*"|'[^']*')*>/
const attributes = /([^\s=<>"'/]+)\s*=\s*("[^"]*"|'[^']*')/g

/** Whether the start tag of the body is there as a whole. */
export const hasStartTag = (xml: string): boolean => startTag.test(xml)

/** The session id (`sid`, XEP-0124 §7) that a BOSH body names; undefined when it asks for a new session. */
export function sessionIdOf(xml: string): string | undefined {
  for (const [, name, value] of startTag.exec(xml)?.[0].matchAll(attributes) ?? [])
    if (name === 'sid') return value?.slice(1, -1)
  return undefined
}

/** The same body with another session id. The rest stays as it is, character by character. */
export function withSessionId(xml: string, change: (sid: string) => string): string {
  return xml.replace(startTag, (tag) =>
    tag.replace(attributes, (attribute, name: string, value: string) => {
      if (name !== 'sid') return attribute
      return `sid=${value[0]}${change(value.slice(1, -1))}${value[0]}`
    }),
  )
}
