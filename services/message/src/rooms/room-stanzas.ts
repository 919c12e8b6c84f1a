import type { Refusal } from '../stanzas/refusal.ts'
import { errorText, messageText, type StanzaText, withDelay } from '../stanzas/stanza-text.ts'
import { escapeAttribute, escapeText } from '../stanzas/xml-text.ts'

/** Texts of the stanzas that a room sends (XEP-0045), without their beginning: see deliver/stanza-text.ts. */

const userNamespace = 'http://jabber.org/protocol/muc#user'

/** Address of a room, or of a nick in it. Nicks are user ids. */
export const roomAddress = (rooms: string, jid: string, nick?: number | string) =>
  nick === undefined ? `${jid}@${rooms}` : `${jid}@${rooms}/${nick}`

/** What somebody is in a room in the terms of XEP-0045; the rules are ours. */
function itemOf(role: number, user: string): string {
  const [affiliation, kind] =
    role === 1
      ? ['owner', 'moderator']
      : role === 2
        ? ['admin', 'moderator']
        : ['member', role === 4 ? 'visitor' : 'participant']
  return `<item affiliation='${affiliation}' role='${kind}' jid='${escapeAttribute(user)}'/>`
}

export type Status = 100 | 110 | 201 | 210 | 321
const statuses = (codes: readonly Status[]) => codes.map((code) => `<status code='${code}'/>`).join('')

/** Somebody is in the room. `user` is their real address. */
export const occupantText = (
  from: string,
  { role, user, codes = [] }: { role: number; user: string; codes?: Status[] },
): StanzaText =>
  `from='${escapeAttribute(from)}'><x xmlns='${userNamespace}'>${itemOf(role, user)}${statuses(codes)}</x></presence>`

/** The stream is in the room no more: it left, or was removed (321). */
export const outText = (from: string, codes: readonly Status[]): StanzaText =>
  `from='${escapeAttribute(from)}' type='unavailable'><x xmlns='${userNamespace}'>` +
  `<item affiliation='none' role='none'/>${statuses(codes)}</x></presence>`

/** The room is gone. */
export const destroyedText = (from: string): StanzaText =>
  `from='${escapeAttribute(from)}' type='unavailable'><x xmlns='${userNamespace}'>` +
  `<item affiliation='none' role='none'/><destroy/></x></presence>`

/** A stream that may not join. */
export const joinErrorText = (from: string, id: string | undefined, refusal: Refusal): StanzaText =>
  errorText(from, id, refusal, 'presence')

/** The end of the answer to a join. Rooms show their names and notices by other means. */
export const subjectText = (from: string): StanzaText =>
  `from='${escapeAttribute(from)}' type='groupchat'><subject/></message>`

/** What was said in a room. */
export const saidText = (
  from: string,
  said: { id: string | undefined; body: string; wantsReceipt: boolean },
): StanzaText => messageText({ from, type: 'groupchat', ...said })

/** What was said before (XEP-0203); `ts` in ms. */
export const saidBeforeText = (from: string, said: { id: string | undefined; body: string; ts: number }): StanzaText =>
  withDelay(saidText(from, { ...said, wantsReceipt: false }), said.ts)

/** The answer to an iq. */
export const resultText = (from: string, id: string, content = ''): StanzaText =>
  `from='${escapeAttribute(from)}' id='${escapeAttribute(id)}' type='result'>${content}</iq>`

export const iqErrorText = (from: string, id: string | undefined, refusal: Refusal): StanzaText =>
  errorText(from, id, refusal, 'iq')

/** What a room is (XEP-0030). */
export function roomInfo(name: string): string {
  const features = ['http://jabber.org/protocol/muc', 'muc_membersonly', 'muc_moderated', 'muc_nonanonymous']
  const all = [...features, 'muc_persistent', 'muc_hidden', 'muc_unsecured']
  return (
    `<query xmlns='http://jabber.org/protocol/disco#info'><identity category='conference' type='text' name='${escapeAttribute(name)}'/>` +
    `${all.map((feature) => `<feature var='${feature}'/>`).join('')}</query>`
  )
}

/** The form in which the owner sets up a room (XEP-0045 §10.1.3). What it says is set over HTTP. */
export const ownerForm = (name: string): string =>
  `<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='form'>` +
  `<field type='hidden' var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>` +
  `<field type='text-single' var='muc#roomconfig_roomname'><value>${escapeText(name)}</value></field></x></query>`
