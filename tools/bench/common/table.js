'use strict';
// Tables for people: Markdown, readable on a terminal as it is.

/** { title, notes: [line], head: [cell], rows: [[cell]] } as Markdown; the first column is text, the others are numbers. */
function markdown({ title, notes = [], head, rows }) {
  const text = [head, ...rows].map((row) => row.map((cell) => String(cell).replaceAll('|', '\\|')));
  const widths = head.map((_, column) => Math.max(...text.map((row) => row[column].length), 3));
  const line = (cells) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  const [first, ...rest] = text;
  return [
    `### ${title}`,
    '',
    ...notes,
    ...(notes.length > 0 ? [''] : []),
    line(first),
    rule,
    ...rest.map(line),
    '',
  ].join('\n');
}

/** Three digits that count. */
function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return '-';
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return size >= 0.1 || size === 0 ? value.toFixed(2) : value.toPrecision(2);
}

/** "1.83 (1.79 to 1.88)" */
function interval({ value, low, high }) {
  return low === null || low === undefined
    ? number(value)
    : `${number(value)} (${number(low)} to ${number(high)})`;
}

module.exports = { interval, markdown, number };
