/**
 * Type codes of messages (spec xmpp.md §6), as data. `by`: who sends them; a client that sends a server type is refused.
 * `archived`: kept in the history. `listed`: may be the last message of a chat. `searched`: its text is found by the search.
 * `push`: the text shown when the receiver is offline; `content` means the message's own content, `-` none. `waits`: how long
 * the message is kept for a receiver who is offline.
 */
export interface MessageTypeEntry {
  name: string
  by: 'client' | 'server' | 'both'
  archived: boolean
  listed: boolean
  searched: boolean
  push: string
  waits: 'month' | 'minute' | 'never'
}

const type = (
  name: string,
  by: MessageTypeEntry['by'],
  flags: '' | 'a' | 'al' | 'als',
  push = '-',
  waits: MessageTypeEntry['waits'] = 'month',
): MessageTypeEntry => ({
  name,
  by,
  archived: flags.includes('a'),
  listed: flags.includes('l'),
  searched: flags.includes('s'),
  push,
  waits,
})

const signallingThatWaits = [104, 111, 112, 114]
const signalling = [101, 102, 116, 117, 118, 121, 122, 123, 124, 130, 131, 132, 133, 134, 135, 136]
const payment = [83, 86, 88, 89, 90, 91, 92, 93, 97]
const roomEvents = [401, 402, 403, ...Array.from({ length: 35 }, (_, n) => 901 + n)]
const each = (codes: readonly number[], entry: MessageTypeEntry) =>
  Object.fromEntries(codes.map((code) => [code, entry]))

export const messageTypes: Readonly<Record<number, MessageTypeEntry>> = {
  1: type('text', 'both', 'als', 'content'),
  2: type('image', 'client', 'al', '[图片]'),
  3: type('voice', 'client', 'al', '[语音]'),
  4: type('location', 'client', 'al', '[位置]'),
  5: type('gif', 'client', 'al', '[图片]'),
  6: type('video', 'client', 'al', '[视频]'),
  7: type('audio', 'client', 'al', '[语音]'),
  8: type('card', 'client', 'als', '[名片]'),
  9: type('file', 'client', 'als', '[文件]'),
  10: type('tip', 'both', 'als', 'content'),
  26: type('read receipt', 'client', ''),
  28: type('red packet', 'client', 'al', '[红包]'),
  29: type('transfer', 'client', 'al', '[转账]'),
  80: type('article', 'both', 'als', '[图文]'),
  81: type('articles', 'both', 'als', '[图文]'),
  82: type('link', 'client', 'als', '[链接]'),
  84: type('shake', 'client', 'al', '[戳一戳]'),
  85: type('merged history', 'client', 'als', '[聊天记录]'),
  87: type('shared link', 'client', 'als', '[链接]'),
  94: type('reply', 'client', 'als', 'content'),
  95: type('screenshot notice', 'client', 'a'),
  96: type('delete on both sides', 'client', ''),
  ...each(payment, type('payment notice', 'server', '')),
  100: type('audio call', 'client', '', '邀请您语音通话', 'minute'),
  110: type('video call', 'client', '', '邀请您视频通话', 'minute'),
  103: type('audio call ended', 'client', '', '取消了语音通话'),
  113: type('video call ended', 'client', '', '取消了视频通话'),
  ...each(signallingThatWaits, type('call signalling', 'client', '')),
  ...each(signalling, type('call signalling', 'client', '', '-', 'never')),
  115: type('video conference', 'client', '', '邀请您加入视频会议', 'minute'),
  120: type('audio conference', 'client', '', '邀请您加入语音会议', 'minute'),
  200: type('own device online', 'client', '', '-', 'never'),
  201: type('typing', 'client', '', '-', 'never'),
  202: type('recall', 'client', 'a', '撤回了一条消息'),
  ...each([301, 302, 303, 304], type('moments', 'server', '')),
  500: type('hello', 'both', '', '请求加为好友'),
  501: type('accepted', 'client', '', '同意加为好友'),
  502: type('answer', 'client', ''),
  503: type('follow', 'client', ''),
  504: type('unfollow', 'client', ''),
  505: type('friend deleted', 'both', '', '解除了好友关系'),
  507: type('blacklisted', 'client', ''),
  508: type('direct friend', 'client', '', '加了你为好友'),
  509: type('off the blacklist', 'client', ''),
  510: type('contact became friend', 'client', '', '加了你为好友'),
  ...each([506, 511, 512, 513, 514, 515], type('friend notice', 'server', '')),
  ...each([800, 801, 802, 803], type('own account', 'server', '')),
  ...each(roomEvents, type('room event', 'server', 'a')),
  916: type('join request', 'both', '', '申请加入群组'),
}

const unknown = type('other', 'client', '')

/** What holds for a type code; codes nobody declared are routed, not archived, not pushed. */
export function messageType(code: number): MessageTypeEntry {
  return messageTypes[code] ?? unknown
}
