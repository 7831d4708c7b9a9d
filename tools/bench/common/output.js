'use strict';
// What a benchmark found, for people and for programs: on the terminal, and in a folder.

const fs = require('node:fs');
const path = require('node:path');
const { writePicture } = require('../picture.js');
const { machineText } = require('./machine.js');
const { markdown } = require('./table.js');
const { sentence } = require('./targets.js');

/** Tables and targets of one benchmark. */
function bodyOf({ tables = [], targets = [] }) {
  const told = targets.map((target) => `- ${sentence(target)}`);
  return [...tables.map(markdown), ...(told.length > 0 ? [...told, ''] : [])].join('\n');
}

function documentOf({ benchmark, date, machine, loadAfter, ...result }, pictures) {
  const conditions = ['runs', 'processes', 'threads']
    .filter((key) => typeof result[key] === 'number')
    .map((key) => `${key}: ${result[key]}`);
  return [
    `## ${benchmark}`,
    '',
    `${date}. ${machineText(machine)}, after: ${loadAfter.toFixed(2)}. ${conditions.join(', ')}`,
    '',
    bodyOf(result),
    ...pictures.flatMap((file) => [`![${path.parse(file).name}](${path.basename(file)})`, '']),
  ].join('\n');
}

/** Without what is for people alone. */
function dataOf({ tables, charts, ...data }) {
  return data;
}

/** NAME.json, NAME.md and a picture for each chart. Gives the Markdown. */
async function write(folder, result) {
  fs.mkdirSync(folder, { recursive: true });
  const { benchmark, charts = [] } = result;
  const pictures = [];
  for (const { name, description } of charts) {
    const file = path.join(folder, `${benchmark}-${name}.png`);
    await writePicture(description, file);
    pictures.push(file);
  }
  const text = documentOf(result, pictures);
  fs.writeFileSync(
    path.join(folder, `${benchmark}.json`),
    `${JSON.stringify(dataOf(result), undefined, 2)}\n`,
  );
  fs.writeFileSync(path.join(folder, `${benchmark}.md`), text);
  return text;
}

module.exports = { bodyOf, dataOf, write };
