/** Pieces of PromQL that many panels share. */

/** Per second, of all replicas, by labels. */
export const rateBy = (labels: string, series: string) => `sum by (${labels}) (rate(${series}[$__rate_interval]))`

/**
 * How many in an hour, by labels. A counter that was not there before counts as a whole, because `increase` takes what it begins
 * with for old.
 */
export const hourlyBy = (labels: string, counter: string, matchers = '') => {
  const sumBy = `sum by (${labels})`
  const series = counter + matchers
  return `${sumBy} (increase(${series}[1h])) > 0 or ${sumBy} (${series} unless ${counter} offset 1h)`
}

/** A quantile of a histogram of all replicas, by labels. */
export const quantileBy = (quantile: number, labels: string, histogram: string, matchers = '') => {
  const by = ['le', labels].filter(Boolean).join(', ')
  return `histogram_quantile(${quantile}, sum by (${by}) (rate(${histogram}_bucket${matchers}[$__rate_interval])))`
}

/** Outcomes of calls that are our fault. */
export const ourFault = '{outcome=~"InternalError|ServiceUnavailable"}'
export const xmpp = (name: string) => `prosody_mod_im_metrics__im_${name}`
