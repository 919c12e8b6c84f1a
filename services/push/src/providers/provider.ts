/** Push providers, by the names of spec xmpp.md §9. `apns_voip` wakes an iPhone for calls. */
export const providerNames = [
  'apns',
  'apns_voip',
  'fcm',
  'xiaomi',
  'huawei',
  'meizu',
  'oppo',
  'vivo',
  'jpush',
  'baidu',
  'honor',
  'webpush',
] as const
export type ProviderName = (typeof providerNames)[number]

/** Device classes that have push tokens (spec 02-user.md). */
export type PushDevice = 'android' | 'ios' | 'web'

/** What a device shows. Providers cut it to the lengths and units of their vendor. */
export interface Notification {
  /** Id of the message. A later notification with the same id takes the place of this one, where the provider can do that. */
  id: string
  title: string
  body: string
  /** Number on the icon of the app. */
  badge?: number
  isSilent?: boolean
  /** The chat: a room's jid, or the other user's id. Devices group by it. */
  threadId: string
  /** `withdrawn` takes the place of a message that was recalled. */
  kind: 'message' | 'call' | 'withdrawn'
  /** For the app, beside what is shown. */
  data: Readonly<Record<string, string>>
  /** When nobody wants to see it any more (ms). */
  expiresAt: number
}

/** A device to wake. */
export interface Target {
  /** What the provider calls the device. For Web Push, `subscriptionToken`. */
  token: string
  device: PushDevice
  /** Bundle or package, as the app said. */
  app?: string
  /** When the token was registered (ms). */
  registeredAt: number
}

/** What a provider made of a notification for one target (push-providers.md §1). `reason` is for logs and holds no token. */
export type Outcome =
  /** The provider took it; it may still never be shown. */
  | { kind: 'accepted'; providerId?: string }
  /** The token will not work again. If it was registered after `since` (ms), that one lives. */
  | { kind: 'dead'; since?: number; reason: string }
  /** Too many: of the whole provider, or of this device. */
  | { kind: 'slow'; scope: 'provider' | 'device'; retryAfterMs?: number; reason: string }
  /** The user switched notifications off. Nothing is sent until the app registers again. */
  | { kind: 'paused'; reason: string }
  /** What is allowed a day was used up, by this device or by the app. */
  | { kind: 'quota'; scope: 'app' | 'device'; reason: string }
  /**
   * Our key, clock, package or project is wrong. `isStaleAccess`: it may be only the cached access token. `isOfToken`: for this
   * token, and the same settings are right for others.
   */
  | { kind: 'credentials'; isStaleAccess?: boolean; isOfToken?: boolean; reason: string }
  /** The provider is in trouble, or the connection was. */
  | { kind: 'retry'; retryAfterMs?: number; reason: string }
  /** Our message is wrong. */
  | { kind: 'bad'; reason: string }
  /** Of a call with several targets: nothing was sent because of one or more of them, and the answer does not say which. */
  | { kind: 'unclear'; reason: string }

/** One outside service. It decides what an answer means; when to try again is decided by its channel. */
export interface Provider {
  name: ProviderName
  /** How many targets one call takes. */
  perCall: number
  /** Whether a notification takes the place of an earlier one with the same id on the device. */
  replaces: boolean
  /**
   * Sends to at most `perCall` targets. The outcomes stand in the order of the targets. Throws Refusal where one thing stopped
   * the call for all of them; any other error counts as `retry` of all. An access token that was refused has been renewed once.
   */
  send(notification: Notification, targets: readonly Target[], signal: AbortSignal): Promise<Outcome[]>
  /**
   * The server that answers for a target, where users choose it; `perCall` is 1 then. What one of them says counts for its own
   * targets, and none gets all calls.
   */
  sourceOf?(target: Target): string
  /** Ends connections after the calls that run. */
  close(): Promise<void>
}

/**
 * What became of a notification for one target, after the channel tried as often as it may:
 * - `accepted`, `bad`, `quota`, `expired` (its `expiresAt` passed) and `skipped` (the provider is not configured): it is done;
 * - `dead`: the token is removed if it was registered before `since`. Where too many die, the channel says `doubtful` instead,
 *   and the token is kept;
 * - `paused`: done, and nothing is sent to this token until it is registered again;
 * - `slow`, `retry`, `credentials`: it was not sent; the caller may hand it over again after `retryAfterMs`, until it expires;
 * - `late`: it was not sent, because it waited too long for its turn: the caller looks at once whether it is still wanted.
 */
export type Delivery =
  | { kind: 'accepted' | 'bad' | 'quota' | 'expired' | 'skipped' | 'doubtful' | 'paused' }
  | { kind: 'dead'; since: number }
  | { kind: 'slow' | 'retry' | 'credentials' | 'late'; retryAfterMs: number }

/** The way to one provider: limits, pauses, tries, the guard of tokens and metrics. */
export interface Channel {
  name: ProviderName
  isConfigured: boolean
  replaces: boolean
  /**
   * Resolves when it is known what became of every target, in their order. Never rejects. Where the queue of the channel is full
   * it answers `slow` at once: the caller decides how much waits.
   */
  send(notification: Notification, targets: readonly Target[]): Promise<Delivery[]>
}

/** All channels. Those that are not configured cost nothing and skip what they get. */
export interface Channels {
  of(provider: ProviderName): Channel
  /** Takes no more, waits for what runs (at most some seconds), then answers the rest with `retry`. */
  close(): Promise<void>
}
