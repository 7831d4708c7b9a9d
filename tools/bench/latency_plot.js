'use strict';
// The delays of words over the number of sessions, as a picture.

const fs = require('node:fs');

const MEASURES = { shown: 'first shown (p50; dashed: p95)', stable: 'settled (p50; dashed: p95)' };

/** One point for each subject, count, measure and percentile. */
function points(results) {
  return results.flatMap(({ subject, count, error, ...measured }) =>
    error !== undefined
      ? []
      : Object.entries(MEASURES).flatMap(([key, measure]) =>
          ['p50', 'p95'].map((percentile) => ({
            subject,
            sessions: count,
            measure,
            percentile,
            seconds: measured[`${key}Ms`][percentile] / 1000,
          })),
        ),
  );
}

function specification(results) {
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    data: { values: points(results).filter(({ seconds }) => Number.isFinite(seconds)) },
    facet: {
      column: { field: 'measure', title: null, sort: Object.values(MEASURES), header: { labelFontSize: 14 } },
    },
    spec: {
      width: 420,
      height: 320,
      mark: { type: 'line', point: true },
      encoding: {
        x: {
          field: 'sessions',
          type: 'quantitative',
          title: 'sessions in real time',
          axis: { tickMinStep: 1 },
        },
        y: {
          field: 'seconds',
          type: 'quantitative',
          title: "seconds after a word's end",
          scale: { zero: true },
        },
        color: { field: 'subject', type: 'nominal', title: null },
        strokeDash: {
          field: 'percentile',
          type: 'nominal',
          title: null,
          sort: ['p50', 'p95'],
          legend: null,
        },
      },
    },
    config: { font: 'DejaVu Sans, Arial, sans-serif', legend: { labelLimit: 0 } },
  };
}

/** Writes a PNG picture of the results. */
async function plot(results, file) {
  const [vega, vegaLite] = await Promise.all([import('vega'), import('vega-lite')]);
  const { Resvg } = require('@resvg/resvg-js');
  const view = new vega.View(vega.parse(vegaLite.compile(specification(results)).spec), { renderer: 'none' });
  const svg = await view.toSVG();
  view.finalize();
  // Twice the size, for screens of fine pixels.
  fs.writeFileSync(file, new Resvg(svg, { fitTo: { mode: 'zoom', value: 2 } }).render().asPng());
}

module.exports = { plot, points };
