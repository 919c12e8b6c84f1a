import type { Access } from './access-token.ts'
import { type HttpAnswer, type HttpClient, jsonOf, statusOutcome } from './http-client.ts'
import { outcome, Refusal } from './outcomes.ts'

/** Reads the answer of an OAuth token endpoint. Throws a Refusal. */
export function readAccess(answer: HttpAnswer): Access {
  const trouble = statusOutcome(answer)
  if (trouble) throw new Refusal(trouble)
  const { access_token, expires_in, error } = jsonOf<{ access_token: string; expires_in: number; error: unknown }>(
    answer,
  )
  if (answer.status === 200 && access_token) return { token: access_token, lifeMs: Number(expires_in ?? 3600) * 1000 }
  throw new Refusal(outcome('credentials', `no access token: ${answer.status} ${String(error ?? '')}`))
}

/** Asks for an access token by the client's id and secret. */
export async function clientCredentials(http: HttpClient, path: string, id: string, secret: string): Promise<Access> {
  const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: id, client_secret: secret })
  return readAccess(await http.postForm(path, { body: form.toString() }))
}
