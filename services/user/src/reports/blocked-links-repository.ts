import type { Collection, Db } from 'mongodb'

/** Web pages that may not be opened from the apps. */
export class BlockedLinksRepository {
  readonly #links: Collection<{ _id: string }>

  constructor(db: Db) {
    this.#links = db.collection('blocked-links')
  }

  async block(link: string): Promise<void> {
    await this.#links.updateOne({ _id: keyOf(link) }, { $setOnInsert: {} }, { upsert: true })
  }

  async allow(link: string): Promise<void> {
    await this.#links.deleteOne({ _id: keyOf(link) })
  }

  async isBlocked(link: string): Promise<boolean> {
    return (await this.#links.findOne({ _id: keyOf(link) })) !== null
  }
}

/** One page has one key: the scheme, the case of the host, a slash at the end and the part behind # do not matter. */
function keyOf(link: string): string {
  const whole = /^[a-z][a-z0-9+.-]*:\/\//i.test(link) ? link : `http://${link}`
  if (!URL.canParse(whole)) return link.toLowerCase()
  const { host, pathname, search } = new URL(whole)
  return `${host}${pathname.replace(/\/+$/, '')}${search}`
}
