import { test } from 'tap'
import { type DeviceHints, deviceClassOf } from '../src/sessions/device-class.ts'

const browser = 'Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0'

const cases: [string, DeviceHints][] = [
  ['web', { deviceKey: 'web', model: 'iPhone' }],
  ['pc', { deviceKey: 'PC' }],
  ['ios', { model: 'iPhone12,1', osVersion: '14.4' }],
  ['ios', { model: 'A2404', osVersion: 'iOS14' }],
  ['mac', { model: 'MacBookPro', osVersion: '12' }],
  ['pc', { model: 'pc', osVersion: '' }],
  ['pc', { model: 'Dell', osVersion: 'Windows 10' }],
  ['web', { model: 'chrome', serial: 'x' }],
  ['android', { model: 'MI 8', osVersion: '9', serial: '8612' }],
  ['android', { model: 'PCT-AL10', osVersion: '10' }],
  ['android', { serial: '8612', deviceKey: 'unknown' }],
  ['web', { userAgent: browser }],
  ['android', { model: 'MI 8', userAgent: browser }],
  ['other', { userAgent: 'okhttp/3.4.1' }],
  ['other', {}],
]

for (const [expected, hints] of cases)
  test(`${JSON.stringify(hints)} is ${expected}`, async (t) => t.equal(deviceClassOf(hints), expected))
