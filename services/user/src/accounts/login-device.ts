import type { RequestInfo } from '@im/contracts'
import { type DeviceClass, deviceClassOf } from '../sessions/device-class.ts'
import type { LoginRecord } from '../users/user-document.ts'

/** Where a login comes from. */
export interface LoginDevice extends Omit<LoginRecord, 'loginTime' | 'isupdate'> {
  device: DeviceClass
  ip: string
}

interface DeviceParams {
  serial?: string
  model?: string
  osVersion?: string
  apiVersion?: string
  deviceKey?: string
  latitude?: number
  longitude?: number
  location?: string
  address?: string
}

export function loginDevice(params: DeviceParams, request: RequestInfo): LoginDevice {
  const { serial = '', model = '', osVersion = '', apiVersion = '', location = '', address = '' } = params
  const { latitude = 0, longitude = 0 } = params
  const device = deviceClassOf({ ...params, userAgent: request.userAgent })
  return { device, ip: request.ip, serial, model, osVersion, apiVersion, location, address, latitude, longitude }
}

/** Returns 1, and the app reloads its lists, when the device differs from that of the previous login or is unknown. */
export function isUpdate(serial: string, previousSerial: string | undefined): 0 | 1 {
  return !serial || serial !== previousSerial ? 1 : 0
}

/** What is stored of a login. `previousSerial` is the serial of the login before. */
export function loginRecord(from: LoginDevice, previousSerial: string | undefined, seconds: number): LoginRecord {
  const { device: _device, ip: _ip, ...where } = from
  return { ...where, loginTime: seconds, isupdate: isUpdate(where.serial, previousSerial) }
}

/** Longitude and latitude, if both are non-zero and on the globe. */
export function positionOf({ latitude, longitude }: LoginDevice): [number, number] | undefined {
  if (!latitude || !longitude || Math.abs(latitude) > 90 || Math.abs(longitude) > 180) return undefined
  return [longitude, latitude]
}
