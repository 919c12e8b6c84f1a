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

  async find(userId: number, courseId: string, change?: Change): Promise<CourseDocument | undefined> {
    const filter = { _id: new ObjectId(courseId), userId }
    return (await this.#courses.findOne(filter, { session: change?.session })) ?? undefined
  }

  async messagesOf(courseId: ObjectId, change?: Change): Promise<CourseMessageDocument[]> {
    return this.#messages.find({ courseId }, { session: change?.session }).toArray()
  }

  /** Stores a changed course, with the messages that are new in it, and without those that are no longer in it. */
  async replace(
    { _id, ...course }: CourseDocument,
    { added, removed }: { added: readonly CourseMessageDocument[]; removed: readonly ObjectId[] },
    { session }: Change,
  ): Promise<void> {
    await this.#courses.replaceOne({ _id }, course, { session })
    if (removed.length) await this.#messages.deleteMany({ _id: { $in: [...removed] } }, { session })
    if (added.length) await this.#messages.insertMany([...added], { session })
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
