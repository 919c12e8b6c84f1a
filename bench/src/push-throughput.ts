/** Pushes to an APNs on this machine, against a bare loop over the same client; see ../README.md. */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { machine } from './machine.ts'
import { median } from './percentiles.ts'
import { measureThroughput } from './push-throughput/throughput.ts'

const usage = `npm run bench:push-throughput -- [options]

  --pushes N    pushes in a round                        (10000)
  --rounds N    rounds of each way, in turns             (5)
  --json FILE   also write everything as JSON

Exit code 1 when a push did not arrive exactly once, or a target was missed.`

const { values } = parseArgs({
  options: {
    pushes: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const targets = { ratio: 0.7 }

async function main(): Promise<number> {
  const throughput = await measureThroughput({ pushes: Number(values.pushes), rounds: Number(values.rounds) })
  const { bare, channel, ratio, wrong } = throughput
  console.log(`bare loop over the client   ${Math.round(median(bare))} pushes/s`)
  console.log(`channel of the push service ${Math.round(median(channel))} pushes/s`)
  console.log(`ratio                       ${ratio.toFixed(2)} (target ${targets.ratio})`)
  if (wrong) console.log(`${wrong} pushes did not arrive exactly once`)
  if (values.json) await writeFile(values.json, JSON.stringify({ machine: machine(), targets, throughput }, null, 2))
  return wrong || ratio < targets.ratio ? 1 : 0
}

if (values.help) console.log(usage)
else process.exitCode = await main()
