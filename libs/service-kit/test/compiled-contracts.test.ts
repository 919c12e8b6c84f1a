import { ContractError, endpoints } from '@im/contracts'
import { compileDecoder, compileWriter } from '@im/service-kit'
import { test } from 'tap'
import { Type } from 'typebox'

/** Services compile schemas at the first call, so a schema that can't be compiled would be found late. */
test('the schemas of all endpoints can be compiled', async (t) => {
  for (const endpoint of endpoints) {
    const decode = compileDecoder({ ...endpoint, params: Type.Partial(endpoint.params) })
    const decoded = await Promise.try(() => decode(new Map())).catch((error) => error)
    t.ok(!(decoded instanceof Error) || decoded instanceof ContractError, `${endpoint.path}: ${decoded}`)
    // What does not fit is said by a writer that could be compiled.
    const written = await Promise.try(() => compileWriter(endpoint)({})).catch((error) => error)
    t.match(String(written), /^\{"currentTime"| is required!$|cannot be converted|does not match schema/, endpoint.path)
  }
})
