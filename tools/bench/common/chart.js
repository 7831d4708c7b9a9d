'use strict';
// The charts of benchmarks as Vega-Lite descriptions; ../picture.js draws them.

/**
 * Bars side by side with a line from `low` to `high`. `values`: { panel, group, subject, value, low, high }, `panel` being a chart of its own;
 * `bound`: a line across.
 */
function bars({ values, y, x = null, bound }) {
  const panels = [...new Set(values.map(({ panel }) => panel))];
  const known = values.filter(({ value }) => Number.isFinite(value));
  const place = {
    x: { field: 'group', type: 'nominal', sort: null, title: x, axis: { labelAngle: 0 } },
    xOffset: { field: 'subject', type: 'nominal', sort: null },
  };
  const layer = [
    {
      mark: 'bar',
      encoding: {
        ...place,
        y: { field: 'value', type: 'quantitative', title: y },
        color: { field: 'subject', type: 'nominal', sort: null, title: null },
      },
    },
    {
      transform: [{ filter: 'isValid(datum.low)' }],
      mark: { type: 'rule', color: 'black' },
      encoding: { ...place, y: { field: 'low', type: 'quantitative' }, y2: { field: 'high' } },
    },
  ];
  if (bound !== undefined)
    layer.push({ mark: { type: 'rule', strokeDash: [6, 4] }, encoding: { y: { datum: bound } } });
  const spec = { width: { step: 26 }, height: 260, layer };
  if (panels.length < 2) return { data: { values: known }, ...spec };
  return {
    data: { values: known },
    facet: { column: { field: 'panel', type: 'nominal', sort: null, title: null } },
    spec,
  };
}

module.exports = { bars };
