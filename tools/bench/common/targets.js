'use strict';
// What a benchmark has to reach. A target that was not judged says why; it is neither met nor missed.

const { interval } = require('./table.js');

const REACHED = {
  'at least': (value, bound) => value >= bound,
  'at most': (value, bound) => value <= bound,
  below: (value, bound) => value < bound,
};

/**
 * `measured`: { value, low, high } or a number. `unless`: a reason for which the target does not apply, or undefined. The median
 * decides; where the interval reaches over the bound, `sure` is false.
 */
function judge(name, relation, bound, unit, measured, unless) {
  const found = typeof measured === 'number' ? { value: measured, low: null, high: null } : measured;
  const target = { name, relation, bound, unit, ...found };
  if (unless !== undefined) return { ...target, state: 'not judged', why: unless };
  if (found === undefined || !Number.isFinite(found.value))
    return { ...target, state: 'not judged', why: 'it was not measured' };
  const reached = REACHED[relation];
  const ends = [found.low, found.high].filter((end) => end !== null && end !== undefined);
  const met = reached(found.value, bound);
  return { ...target, state: met ? 'met' : 'missed', sure: ends.every((end) => reached(end, bound) === met) };
}

/** "e2e, 15 s, same files: at least 1.8 x: met, 2.10 x (2.05 to 2.14)" */
function sentence({ name, relation, bound, unit, state, why, sure, ...measured }) {
  const wanted = `${name}: ${relation} ${bound}${unit}`;
  if (state === 'not judged') {
    const seen = Number.isFinite(measured.value) ? ` (measured: ${interval(measured)}${unit})` : '';
    return `${wanted}: not judged, ${why}${seen}`;
  }
  const doubt = sure ? '' : '; the interval reaches over the target';
  return `${wanted}: ${state === 'met' ? 'met' : 'MISSED'}, ${interval(measured)}${unit}${doubt}`;
}

const allMet = (targets) => targets.every(({ state }) => state !== 'missed');

module.exports = { allMet, judge, sentence };
