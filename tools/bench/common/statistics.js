'use strict';
// Medians, quantiles, and how sure a ratio is.

// WHY: 2.5 % of it is 50 resamples at either end, enough for the two digits that are printed.
const RESAMPLES = 2000;
const LEVEL = 0.95;

/** The value below which `share` of them lie, interpolated between neighbours; NaN of nothing. */
function quantile(values, share) {
  if (values.length === 0) return Number.NaN;
  const sorted = Float64Array.from(values).sort();
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

const median = (values) => quantile(values, 0.5);

/** Numbers of [0, 1) that are the same in every run. SOURCE: mulberry32, public domain. */
function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * The median and its 95 % interval by the percentile bootstrap; the interval is null for fewer than three values, where it would say
 * nothing.
 */
function medianInterval(values, seed = 1) {
  const value = median(values);
  if (values.length < 3) return { value, low: null, high: null, count: values.length };
  const next = random(seed);
  const medians = Array.from({ length: RESAMPLES }, () =>
    median(Array.from(values, () => values[Math.floor(next() * values.length)])),
  );
  const tail = (1 - LEVEL) / 2;
  return { value, low: quantile(medians, tail), high: quantile(medians, 1 - tail), count: values.length };
}

/** Median of `numerators[i] / denominators[i]`, i being a round in which both were measured, with its interval. */
function pairedRatio(numerators, denominators) {
  if (numerators.length !== denominators.length)
    throw new Error(`expected pairs, received ${numerators.length} and ${denominators.length} values`);
  return medianInterval(numerators.map((value, index) => value / denominators[index]));
}

module.exports = { median, medianInterval, pairedRatio, quantile, random };
