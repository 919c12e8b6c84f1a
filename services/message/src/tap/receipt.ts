import { escapeXml } from './escape-xml.ts'

/** What a receipt needs: the id of the stanza, who wrote it (full JID) and whom it was for (bare JID). */
export interface ReceiptRequest {
  id: string
  to: string
  from: string
}

/** The XEP-0184 receipt of the server: "stored" (spec xmpp.md §4). */
export const receiptStanza = ({ id, to, from }: ReceiptRequest) =>
  `<message type="normal" from="${escapeXml(from)}" to="${escapeXml(to)}">` +
  `<received xmlns="urn:xmpp:receipts" id="${escapeXml(id)}" status="1"/></message>`
