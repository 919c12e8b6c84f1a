import { join } from 'node:path'
import { thisMachine } from '@im/dev/machine'
import { silentReporter } from '@im/dev/reporter'

export const monitoring = join(import.meta.dirname, '..')
export const machine = thisMachine(process.env, silentReporter)
