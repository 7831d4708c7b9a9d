'use strict';
// The delays of words over the number of sessions, as a picture.

const { writePicture } = require('./picture.js');

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
  };
}

/** Writes a PNG picture of the results. */
const plot = (results, file) => writePicture(specification(results), file);

module.exports = { plot, points };
