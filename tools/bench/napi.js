'use strict';
// What the binding costs the event loop for each write of live audio and each event, without what the model costs.

const { median, quantile, medianInterval } = require('./common/statistics.js');
const { home } = require('./common/subjects.js');
const { interval, number } = require('./common/table.js');
const { allMet, judge } = require('./common/targets.js');
const { measureIn } = require('./measure.js');

const RUNS_STANDARD = 5;
const WINDOWS = 2000;
const TARGET_US = 20;

const MEASURES = {
  callUs: 'session.write() of 10 ms that completes no window, until it returns',
  writeUs: 'the same until its promise has resolved',
  eventUs: 'an event that waited, until the next one is handled',
  deliveryUs: 'last write of a window to its event, less what the core computed',
  cpuUs: "the loop's thread on a core, for a write of 80 ms and its event (means of 100)",
};

async function run(options) {
  const runs = Math.ceil(options.runs ?? RUNS_STANDARD);
  const all = [];
  for (let turn = 0; turn < runs; turn += 1) {
    const found = await measureIn('napi_child.js', { home: home(options), count: WINDOWS });
    if (found.error !== undefined) throw new Error(found.error);
    all.push(found);
    console.error(`napi: run ${turn + 1} of ${runs}`);
  }
  const results = Object.entries(MEASURES).map(([key, meaning]) => ({
    key,
    meaning,
    count: all.reduce((sum, each) => sum + each[key].length, 0),
    p50: medianInterval(all.map((each) => median(each[key]))),
    p99: medianInterval(all.map((each) => quantile(each[key], 0.99))),
  }));
  const overhead = medianInterval(all.map(({ writeUs, eventUs }) => median(writeUs) + median(eventUs)));
  const targets = [judge('napi, p50 of a write and p50 of an event', 'below', TARGET_US, ' us', overhead)];
  return {
    runs,
    windows: WINDOWS,
    met: allMet(targets),
    targets,
    tables: [
      {
        title: 'The binding, microseconds',
        notes: [
          "Counted in the target: what the loop's thread has to do, in JavaScript and through N-API, for one write and for one event. Told beside it:",
          'the delivery, which has two sleeping threads woken by the operating system in it, and the processor time with going to sleep and waking up.',
        ],
        head: ['', 'p50', 'p99', 'samples'],
        rows: results.map(({ meaning, p50, p99, count }) => [
          meaning,
          interval(p50),
          number(p99.value),
          count,
        ]),
      },
    ],
    results,
  };
}

module.exports = { run };
