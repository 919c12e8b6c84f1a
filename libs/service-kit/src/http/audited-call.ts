import { type Call, ContractError, type Endpoint } from '@im/contracts'
import type { AuditLog } from '../audit.ts'
import type { ParamSchema } from './decode/param-schema.ts'

/** Runs `work` for a call. Where the contract asks for an audit, records the call before and its outcome after. */
export type AuditedCall = <T>(call: Call<Endpoint>, work: () => T | Promise<T>) => Promise<T>

export function auditedCall(endpoint: Endpoint, audit: AuditLog | undefined): AuditedCall {
  if (!endpoint.audit) return async (_call, work) => work()
  if (!audit) throw new Error(`${endpoint.path} is audited, and the service has no database`)
  const properties = endpoint.params.properties as Record<string, ParamSchema>
  return async (call, work) => {
    const { caller, request, params } = call
    const notes: Record<string, unknown> = {}
    call.note = (detail) => void Object.assign(notes, detail)
    const entry = await audit.begin({
      userId: caller?.userId,
      ip: request.ip,
      requestId: request.id,
      call: `${request.method} ${endpoint.path}`,
      params: withoutPasswords(params as Record<string, unknown>, properties),
    })
    let outcome = 'Success'
    try {
      return await work()
    } catch (error) {
      outcome = error instanceof ContractError ? error.errorName : 'InternalError'
      throw error
    } finally {
      await audit.end(entry, outcome, notes)
    }
  }
}

function withoutPasswords(
  params: Record<string, unknown>,
  properties: Record<string, ParamSchema>,
): Record<string, unknown> {
  const kept = Object.entries(params).filter(([name]) => properties[name]?.wire !== 'pwd')
  return Object.fromEntries(
    kept.map(([name, value]) => {
      const fields = properties[name]?.wire === 'entity' ? properties[name].properties : undefined
      return [name, fields ? withoutPasswords(value as Record<string, unknown>, fields) : value]
    }),
  )
}
