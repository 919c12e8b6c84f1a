import { type EventType, type Payload, streamOf } from '@im/contracts'
import { Ajv, type ValidateFunction } from 'ajv'

const ajv = new Ajv({ strict: false })
const validators = new WeakMap<EventType, ValidateFunction>()

/** Throws when a payload does not fit the schema of its event, because consumers rely on the published schema. */
export function checkEvent<E extends EventType>(event: E, payload: Payload<E>): void {
  let validate = validators.get(event)
  if (!validate) {
    streamOf(event.name)
    validate = ajv.compile(JSON.parse(JSON.stringify(event.schema)))
    validators.set(event, validate)
  }
  if (!validate(payload)) throw new Error(`${event.name} does not fit its schema: ${ajv.errorsText(validate.errors)}`)
}
