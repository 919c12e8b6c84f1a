import { parser } from '@prometheus-io/lezer-promql'

/** A metric that a query names, with the labels that are matched, or grouped by around it. */
export interface Named {
  metric: string
  labels: string[]
}

/** What a query asks for. Throws where it is no PromQL. */
export function namedIn(query: string): Named[] {
  const text = query.replaceAll('$__rate_interval', '5m')
  const selectors: Named[] = []
  const groupings: { from: number; to: number; labels: string[] }[] = []
  const labelsWithin = (from: number, to: number, node: string) => {
    const found: string[] = []
    parser.parse(text).iterate({
      from,
      to,
      enter: ({ name, from: start, to: end, node: { parent } }) => {
        const inside = start >= from && end <= to
        if (inside && name === 'LabelName' && parent?.name === node) found.push(text.slice(start, end))
      },
    })
    return found
  }
  parser.parse(text).iterate({
    enter({ type, name, from, to, node }) {
      if (type.isError) throw new Error(`no PromQL at ${from}: ${text}`)
      if (name === 'AggregateExpr') {
        const by = node.getChild('AggregateModifier')
        if (by) groupings.push({ from, to, labels: labelsWithin(by.from, by.to, 'GroupingLabels') })
      }
      if (name !== 'VectorSelector') return
      const metric = node.getChild('Identifier')
      if (!metric) throw new Error(`a selector without a metric: ${text}`)
      const around = groupings.filter((grouping) => grouping.from <= from && to <= grouping.to)
      selectors.push({
        metric: text.slice(metric.from, metric.to),
        labels: [...labelsWithin(from, to, 'UnquotedLabelMatcher'), ...around.flatMap(({ labels }) => labels)],
      })
    },
  })
  return selectors
}

/** Labels of a legend such as `{{service}} {{outcome}}`. */
export const labelsOfLegend = (legend: string) => [...legend.matchAll(/{{(\w+)}}/g)].map(([, label]) => label ?? '')
