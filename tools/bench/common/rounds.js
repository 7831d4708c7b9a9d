'use strict';
// Turns: A B C, A B C, ..., so that a change of the machine's load meets all subjects, and each round is a pair of measurements.

/**
 * `measure(subject, round)` for each subject in each round; after the first failure of a subject it is left out. Gives a Map from subject
 * to { values, error }. `progress` gets a line for each round.
 */
async function alternate(subjects, rounds, measure, progress = () => {}) {
  const found = new Map(subjects.map((subject) => [subject, { values: [] }]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [subject, entry] of found) {
      if (entry.error !== undefined) continue;
      try {
        entry.values.push(await measure(subject, round));
      } catch (error) {
        entry.error = error.message;
        entry.values = [];
      }
    }
    progress(`round ${round + 1} of ${rounds}`);
  }
  return found;
}

module.exports = { alternate };
