/** The provider wants fewer messages to this number. */
export class SmsThrottledError extends Error {
  override readonly name = 'SmsThrottledError'
}

const longestAnswer = 64 * 1024

/** Calls an SMS provider, whose result is in the body whatever the status. It has 5 s to answer. */
export async function askJson(url: URL, call: RequestInit): Promise<Record<string, unknown>> {
  const answer = await fetch(url, { ...call, redirect: 'error', signal: AbortSignal.timeout(5000) })
  const text = await answer.text()
  if (text.length > longestAnswer) throw new Error('the SMS provider sent a long answer')
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch (cause) {
    throw new Error(`the SMS provider answered ${answer.status} without JSON`, { cause })
  }
}
