import { ContractError } from '@im/contracts'
import { messageType, messageTypes } from '@im/contracts/message'
import { firstUserId } from '@im/contracts/user'
import type { Deps } from '../deps.ts'
import { singleConversation } from '../messages/conversations.ts'
import { boundIds } from '../messages/new-document.ts'
import { userIdOf } from '../read/addresses.ts'
import { hasUnreadIds } from '../read/read-body.ts'
import type { Message } from '../read/read-message.ts'
import { joinRequest, joinRequestRefusal } from '../room-facts/join-request.ts'
import type { Refusal } from '../stanzas/refusal.ts'
import { type Attempt, type Fact, type Facts, refusalBetween } from './may-write.ts'

/** What becomes of a message. One place decides it, for every message: a later verdict (held back, refused) belongs here. */
export type Verdict =
  | { goes: true }
  /** Without a refusal the sender sees no difference, and nobody else hears of it. */
  | { goes: false; refusal?: Refusal; byFacts?: ByFacts }

/** The refusal does not follow from the message alone: asked again, the answer may be another one. */
export type ByFacts = true

type DecideDeps = Pick<
  Deps,
  'keywordFilter' | 'contacts' | 'relations' | 'colleagues' | 'roomFacts' | 'messages' | 'config' | 'log'
>

const recall = 202

const go: Verdict = { goes: true }
const stopped: Verdict = { goes: false }
const refuse = (condition: Refusal['condition'], text: string): Verdict => ({
  goes: false,
  refusal: { condition, text },
})
const noUser = refuse('service-unavailable', 'no such user')
const tooMany = refuse('not-allowed', 'a recall names at most 200 messages')
const notOwn = refuse('not-allowed', 'only the own messages can be recalled')
const tryLater = refuse('resource-constraint', 'it cannot be found out now whether you may write')

/**
 * Decides by spec xmpp.md §8 whether a message goes on. At once when everything is known that it takes; else after asking
 * the owners of the facts. It never refuses by what may be old.
 */
export function decide(deps: DecideDeps, message: Message): Verdict | Promise<Verdict> {
  const fixed = decideByForm(deps, message)
  const verdict = fixed ?? decideByFacts(deps, message)
  const filter = (decided: Verdict): Verdict => {
    if (decided.goes) return deps.keywordFilter.stops(message.body) ? stopped : decided
    return fixed ? decided : { ...decided, byFacts: true }
  }
  return verdict instanceof Promise ? verdict.then(filter) : filter(verdict)
}

/** What follows from the message alone; undefined when facts decide. */
function decideByForm(deps: DecideDeps, message: Message): Verdict | undefined {
  const { to, sender } = message
  const { xmppDomain } = deps.config
  if (to.domain !== xmppDomain || !to.local) return noUser
  if (message.type === 'groupchat') return refuse('bad-request', 'groupchat goes to rooms')
  const receiver = userIdOf(to.local)
  if (receiver === undefined) return noUser
  if (receiver === sender.user) return go
  return refusalByBody(message)
}

function decideByFacts(deps: DecideDeps, message: Message): Verdict | Promise<Verdict> {
  const { to, sender, body } = message
  const attempt = { from: sender.user, to: userIdOf(to.local)!, type: body.type }
  if (body.type === recall) return decideRecall(deps, message, attempt)
  if (body.type === joinRequest) return decideJoinRequest(deps, message, attempt)
  return decideBetween(deps, attempt)
}

/** What the body may not say, whoever it is for. */
export function refusalByBody({ sender, body }: Message): Verdict | undefined {
  const { fromUserId } = body
  if (fromUserId !== undefined && fromUserId !== sender.user && fromUserId !== String(sender.user))
    return refuse('not-allowed', 'fromUserId is not the sender')
  if (sender.user >= firstUserId && messageTypes[body.type] && messageType(body.type).by === 'server')
    return refuse('not-allowed', 'this type is sent by the server only')
  // Apps would remove messages whose author nobody has looked at.
  if (body.type === recall && hasUnreadIds(body.content)) return tooMany
  return undefined
}

/** A recall names messages of its author; who knows an id as the peer's is told no. */
async function decideRecall(deps: DecideDeps, { body }: Message, attempt: Attempt): Promise<Verdict> {
  const verdict = await decideBetween(deps, attempt)
  if (!verdict.goes) return verdict
  const { from, to } = attempt
  const isPeers = await deps.messages.anyFrom(to, singleConversation(from, to), boundIds(body.content))
  return isPeers ? notOwn : go
}

async function decideJoinRequest(deps: DecideDeps, { body }: Message, attempt: Attempt): Promise<Verdict> {
  const verdict = await decideBetween(deps, attempt)
  if (!verdict.goes) return verdict
  const refusal = await joinRequestRefusal(deps, attempt, body)
  return refusal ? { goes: false, refusal } : go
}

function decideBetween(
  { contacts, relations, colleagues, log }: DecideDeps,
  attempt: Attempt,
): Verdict | Promise<Verdict> {
  const { from, to } = attempt
  const known = refusalBetween(attempt, {
    receiver: contacts.peek(to),
    sender: contacts.peek(from),
    standing: relations.peek(from, to),
    colleagues: colleagues.peek(from, to),
  })
  if (!('lacks' in known) && !known.refusal) return go
  return askAndDecide()

  /** Asks for what is missing; before a refusal for all it rests on. */
  async function askAndDecide(): Promise<Verdict> {
    const facts: Facts = { receiver: undefined, sender: undefined, standing: undefined, colleagues: undefined }
    const asking: Record<Fact, () => Promise<unknown>> = {
      receiver: async () => {
        facts.receiver = contacts.peek(to, { forRefusal: true }) ?? (await contacts.ask(to))
      },
      sender: async () => {
        facts.sender = contacts.peek(from, { forRefusal: true }) ?? (await contacts.ask(from))
      },
      standing: async () => {
        facts.standing = await relations.ask(from, to)
      },
      colleagues: async () => {
        facts.colleagues = await colleagues.ask(from, to)
      },
    }
    try {
      for (;;) {
        const verdict = refusalBetween(attempt, facts)
        if (!('lacks' in verdict)) return verdict.refusal ? { goes: false, refusal: verdict.refusal } : go
        await asking[verdict.lacks]()
      }
    } catch (error) {
      if (!(error instanceof ContractError)) throw error
      log.debug({ err: error, from, to }, 'a message was put off: its facts are out of reach')
      return tryLater
    }
  }
}
