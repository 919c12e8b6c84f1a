import { ContractError, type Handlers } from '@im/contracts'
import { courses } from '@im/contracts/user'
import { bindHandlers } from '@im/service-kit'
import type { Deps } from '../deps.ts'
import { keepOf } from '../forget-user.ts'
import { addCourse } from './add-course.ts'
import { getCourse } from './get-course.ts'
import { updateCourse } from './update-course.ts'

const handlers: Handlers<typeof courses, Deps> = {
  async addCourse(deps, { caller, params, deadline, signal }) {
    await keepOf(deps, caller.userId, () => addCourse(deps, caller.userId, params, { deadline, signal }))
  },

  async listCourses(deps, { caller }) {
    return (await deps.courses.list(caller.userId)).map(({ _id, ...course }) => ({
      courseId: _id.toHexString(),
      ...course,
    }))
  },

  async getCourse(deps, { caller, params }) {
    return (await getCourse(deps, caller.userId, params.courseId)).map(({ _id, courseId, ...message }) => ({
      courseMessageId: _id.toHexString(),
      courseId: courseId.toHexString(),
      ...message,
    }))
  },

  async updateCourse(deps, { caller, params, deadline, signal }) {
    await updateCourse(deps, caller.userId, params, { deadline, signal })
  },

  async deleteCourses(deps, { caller, params }) {
    const ids = params.courseId.filter((id) => /^[0-9a-f]{24}$/i.test(id))
    const removed = await deps.outbox.commit((change) => deps.courses.remove(caller.userId, ids, change))
    if (!removed) throw new ContractError('CourseNotFound')
  },
}

export const courseRoutes = bindHandlers(courses, handlers)
