'use strict';
// What a benchmark has to reach. A target that was not judged says why; it is neither met nor missed.

const { interval } = require('./table.js');

const REACHED = {
  'at least': (value, bound) => value >= bound,
  'at most': (value, bound) => value <= bound,
  below: (value, bound) => value < bound,
};

/**
 * `measured`: { value, low, high }, or a number that is exact, such as a count. `unless`: a reason for which the target does not apply, or
 * undefined. The median decides; where the interval reaches over the bound, or there is none, `sure` is false.
 */
function judge(name, relation, bound, unit, measured, unless) {
  const exact = typeof measured === 'number';
  const found = exact ? { value: measured, low: null, high: null } : measured;
  const target = { name, relation, bound, unit, ...found };
  if (unless !== undefined) return { ...target, state: 'not judged', why: unless };
  if (found === undefined || !Number.isFinite(found.value))
    return { ...target, state: 'not judged', why: 'it was not measured' };
  const reached = REACHED[relation];
  const met = reached(found.value, bound);
  const ends = [found.low, found.high].filter((end) => end !== null && end !== undefined);
  const sure = exact || (ends.length === 2 && ends.every((end) => reached(end, bound) === met));
  return { ...target, state: met ? 'met' : 'missed', sure };
}

/** "e2e, 15 s, same files: at least 1.8 x: met, 2.10 x (2.05 to 2.14)" */
function sentence({ name, relation, bound, unit, state, why, sure, ...measured }) {
  const wanted = `${name}: ${relation} ${bound}${unit}`;
  if (state === 'not judged') {
    const seen = Number.isFinite(measured.value) ? ` (measured: ${interval(measured)}${unit})` : '';
    return `${wanted}: not judged, ${why}${seen}`;
  }
  const unsure = Number.isFinite(measured.low)
    ? 'the interval reaches over the target'
    : 'too few runs for an interval';
  const doubt = sure ? '' : `; ${unsure}`;
  return `${wanted}: ${state === 'met' ? 'met' : 'MISSED'}, ${interval(measured)}${unit}${doubt}`;
}

const allMet = (targets) => targets.every(({ state }) => state !== 'missed');

module.exports = { allMet, judge, sentence };
