import { type Change, ensureIndexes } from '@im/service-kit'
import { type Collection, type Db, ObjectId } from 'mongodb'

export interface CourseDocument {
  _id: ObjectId
  userId: number
  courseName: string
  /** `0`: of a single chat. */
  roomJid: string
  /** Seconds. */
  createTime: number
  updateTime: number
  /** In the order of the course. */
  messageIds: string[]
}

export interface CourseMessageDocument {
  _id: ObjectId
  courseId: ObjectId
  userId: number
  messageId: string
  /** The body as it was: recalling the message does not remove it from the course. */
  message: string
  createTime: number
}

/** Nobody needs more. */
const mostListed = 1000
/** The same for the characters of the ids in a list, which is answered at once. */
const mostText = 4 * 2 ** 20

/** Courses and the messages in them. */
export class CoursesRepository {
  readonly #courses: Collection<CourseDocument>
  readonly #messages: Collection<CourseMessageDocument>

  constructor(db: Db) {
    this.#courses = db.collection('courses')
    this.#messages = db.collection('course-messages')
  }

  async createIndexes(): Promise<void> {
    await ensureIndexes(this.#courses, [{ key: { userId: 1, createTime: 1 } }])
    await ensureIndexes(this.#messages, [{ key: { courseId: 1 } }, { key: { userId: 1 } }])
  }

  async add(course: CourseDocument, messages: readonly CourseMessageDocument[], { session }: Change): Promise<void> {
    await this.#courses.insertOne(course, { session })
    await this.#messages.insertMany([...messages], { session })
  }

  /** The oldest first. */
  async list(userId: number): Promise<CourseDocument[]> {
    const listed: CourseDocument[] = []
    let text = 0
    for await (const course of this.#courses.find({ userId }).sort({ createTime: 1 }).limit(mostListed)) {
      for (const id of course.messageIds) text += id.length
      if (text > mostText) break
      listed.push(course)
    }
    return listed
  }

  async find(userId: number, courseId: string): Promise<CourseDocument | undefined> {
    return (await this.#courses.findOne({ _id: new ObjectId(courseId), userId })) ?? undefined
  }

  async messagesOf(courseId: ObjectId): Promise<CourseMessageDocument[]> {
    return this.#messages.find({ courseId }).toArray()
  }

  /** A course with its messages, as the change sees them. */
  async whole(
    userId: number,
    courseId: string,
    { session }: Change,
  ): Promise<{ course: CourseDocument; messages: CourseMessageDocument[] } | undefined> {
    const lookup = { from: this.#messages.collectionName, localField: '_id', foreignField: 'courseId', as: 'messages' }
    const [found] = await this.#courses
      .aggregate<CourseDocument & { messages: CourseMessageDocument[] }>(
        [{ $match: { _id: new ObjectId(courseId), userId } }, { $lookup: lookup }],
        { session },
      )
      .toArray()
    if (!found) return undefined
    const { messages, ...course } = found
    return { course, messages }
  }

  /** Stores a changed course, with the messages that are new in it, and without those that are no longer in it. */
  replace(
    { _id, ...course }: CourseDocument,
    { added, removed }: { added: readonly CourseMessageDocument[]; removed: readonly ObjectId[] },
    change: Change,
  ): void {
    change.later(this.#courses, { replaceOne: { filter: { _id }, replacement: course } })
    if (removed.length) change.later(this.#messages, { deleteMany: { filter: { _id: { $in: [...removed] } } } })
    for (const document of added) change.later(this.#messages, { insertOne: { document } })
  }

  /** Returns how many of these courses were the user's own. */
  async remove(userId: number, courseIds: readonly string[], { session }: Change): Promise<number> {
    const ids = courseIds.map((id) => new ObjectId(id))
    const own = await this.#courses
      .find({ _id: { $in: ids }, userId }, { session })
      .project({ _id: 1 })
      .toArray()
    if (!own.length) return 0
    const found = own.map(({ _id }) => _id as ObjectId)
    await this.#courses.deleteMany({ _id: { $in: found } }, { session })
    await this.#messages.deleteMany({ courseId: { $in: found } }, { session })
    return found.length
  }

  async removeUser(userId: number): Promise<void> {
    await this.#courses.deleteMany({ userId })
    await this.#messages.deleteMany({ userId })
  }
}
