import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { obtainPrometheus } from '@im/dev/prometheus'
import { execa } from 'execa'
import { test } from 'tap'
import { parse } from 'yaml'
import { machine, monitoring } from './machine.ts'

interface Rule {
  alert: string
  expr: string
  labels: { severity: string }
  annotations: { summary: string }
}

const readYaml = async (name: string) => parse(await readFile(join(monitoring, name), 'utf8'))

const readRules = async (): Promise<Rule[]> =>
  (await readYaml('alerts.yaml')).groups.flatMap(({ rules }: { rules: Rule[] }) => rules)

test('the rules do what alerts.test.yaml says', async (t) => {
  const found = await obtainPrometheus(machine, 'promtool')
  if ('not' in found) throw new Error(found.not)
  for (const args of [
    ['check', 'rules', 'alerts.yaml'],
    ['test', 'rules', 'alerts.test.yaml'],
  ]) {
    const { exitCode, all } = await execa(found.path, args, { cwd: monitoring, all: true, reject: false })
    t.equal(exitCode, 0, all)
  }
})

test('each alert has a test in which it fires, one in which it does not, and a section in docs/operations.md', async (t) => {
  const { tests } = (await readYaml('alerts.test.yaml')) as {
    tests: { alert_rule_test: { alertname: string; exp_alerts: object[] }[] }[]
  }
  const tried = tests.flatMap(({ alert_rule_test }) => alert_rule_test)
  const operations = await readFile(join(monitoring, '../../docs/operations.md'), 'utf8')
  for (const { alert, labels, annotations } of await readRules()) {
    const own = tried.filter(({ alertname }) => alertname === alert)
    t.ok(
      own.some(({ exp_alerts }) => exp_alerts.length > 0),
      `${alert} fires`,
    )
    t.ok(
      own.some(({ exp_alerts }) => exp_alerts.length === 0),
      `${alert} does not always fire`,
    )
    t.match(labels.severity, /^(page|ticket)$/)
    t.ok(annotations.summary)
    t.match(operations, new RegExp(`^#+ ${alert}$`, 'm'), `docs/operations.md says what to do at ${alert}`)
  }
})
