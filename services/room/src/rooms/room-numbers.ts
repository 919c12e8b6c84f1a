import type { Collection, Db } from 'mongodb'

const firstNumbers = { call: 300_001, videoMeetingNo: 350_001 } as const

/** Numbers of rooms for audio and video conferences. They rise and are never used twice. */
export class RoomNumbers {
  readonly #counters: Collection<{ _id: string; value: number }>

  constructor(db: Db) {
    this.#counters = db.collection('counters')
  }

  async createIndexes(): Promise<void> {
    for (const [name, first] of Object.entries(firstNumbers))
      await this.#counters.updateOne({ _id: name }, { $setOnInsert: { value: first - 1 } }, { upsert: true })
  }

  /** A room that is not made after all leaves a gap. */
  async next(): Promise<{ call: string; videoMeetingNo: string }> {
    const [call, videoMeetingNo] = await Promise.all([this.#take('call'), this.#take('videoMeetingNo')])
    return { call, videoMeetingNo }
  }

  async #take(name: keyof typeof firstNumbers): Promise<string> {
    const counter = await this.#counters.findOneAndUpdate(
      { _id: name },
      { $inc: { value: 1 } },
      { returnDocument: 'after' },
    )
    if (!counter) throw new Error(`the counter ${name} is missing`)
    return String(counter.value)
  }
}
