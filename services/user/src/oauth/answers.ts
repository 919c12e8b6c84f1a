import { RawAnswer } from '@im/contracts'

/** A JSON document that no cache may keep (RFC 6749 §5.1). */
export function oauthDocument(document: object): RawAnswer {
  return new RawAnswer(JSON.stringify(document), {
    headers: { 'content-type': 'application/json;charset=UTF-8', 'cache-control': 'no-store', pragma: 'no-cache' },
  })
}
