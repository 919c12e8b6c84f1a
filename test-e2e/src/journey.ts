import type { Test } from 'tap'
import { People } from './people.ts'
import { startTestStack, type TestStack, type TestStackOptions } from './stack.ts'

/** A busy machine may take longer for a call than anybody would wait, and a journey does not judge that. */
const patient = { SERVICE_TIMEOUT_MS: '12000' }

/** A stack and its people. Both end with the test. */
export async function startJourney(
  t: Test,
  options: TestStackOptions = {},
): Promise<{ stack: TestStack; people: People }> {
  const stack = await startTestStack({ ...options, env: { ...patient, ...options.env } })
  const people = new People(stack)
  t.after(async () => {
    await people.close()
    await stack.close()
  })
  return { stack, people }
}
