'use strict';
// Word errors between two texts, without capitals and punctuation.

function wordsOf(text) {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}' ]+/gu, ' ')
    .split(/\s+/)
    .filter((word) => word !== '');
}

/** Substitutions, deletions and insertions that turn `expected` into `heard`, at their fewest. */
function wordErrors(expected, heard) {
  const a = wordsOf(expected);
  const b = wordsOf(heard);
  // One row of the table of costs; each cell remembers what it is made of.
  let row = b.map((_, j) => ({ cost: j + 1, inserted: j + 1, deleted: 0, replaced: 0 }));
  row.unshift({ cost: 0, inserted: 0, deleted: 0, replaced: 0 });
  for (const word of a) {
    const next = [{ ...row[0], cost: row[0].cost + 1, deleted: row[0].deleted + 1 }];
    for (let j = 0; j < b.length; j++) {
      const same = row[j];
      const up = row[j + 1];
      const left = next[j];
      if (word === b[j] && same.cost <= Math.min(up.cost, left.cost)) next.push(same);
      else if (same.cost <= up.cost && same.cost <= left.cost)
        next.push({ ...same, cost: same.cost + 1, replaced: same.replaced + 1 });
      else if (up.cost <= left.cost) next.push({ ...up, cost: up.cost + 1, deleted: up.deleted + 1 });
      else next.push({ ...left, cost: left.cost + 1, inserted: left.inserted + 1 });
    }
    row = next;
  }
  const { cost, inserted, deleted, replaced } = row.at(-1);
  return { words: a.length, errors: cost, inserted, deleted, replaced };
}

/** Sums the errors of many texts. */
function total(all) {
  const sum = { words: 0, errors: 0, inserted: 0, deleted: 0, replaced: 0 };
  for (const one of all) for (const key of Object.keys(sum)) sum[key] += one[key];
  return { ...sum, rate: sum.words === 0 ? 0 : sum.errors / sum.words };
}

module.exports = { wordErrors, wordsOf, total };
