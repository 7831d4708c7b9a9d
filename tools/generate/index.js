'use strict';
// `npm run generate`: what several languages know of contracts/ is written from there, never typed twice.
// With --check: writes nothing, and exits with 1 when a file is not what contracts/ says.

const fs = require('node:fs');
const path = require('node:path');
const { headerText, limitsText } = require('./limits');
const { pythonText } = require('./python');
const { typesText } = require('./types');

const root = path.join(__dirname, '..', '..');

function readJson(name) {
  return JSON.parse(fs.readFileSync(path.join(root, 'contracts', name), 'utf8'));
}

/** File name -> text, for all that is generated. */
function generated() {
  const schema = readJson('schema.json');
  const limits = readJson('limits.json');
  const reference = readJson('parakeet-tdt-0.6b-v3.contract.json');
  return {
    'lib/model/contract_types.generated.ts': typesText(schema),
    'lib/limits.generated.ts': limitsText(schema, limits),
    'native/base/limits.generated.h': headerText(schema, limits, reference),
    'tools/export/trt_asr_export/generated.py': pythonText(reference, schema),
  };
}

function main() {
  const check = process.argv.includes('--check');
  const stale = [];
  for (const [name, text] of Object.entries(generated())) {
    const file = path.join(root, name);
    const before = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined;
    if (before === text) continue;
    stale.push(name);
    if (!check) fs.writeFileSync(file, text);
  }
  const what = check ? 'stale, run `npm run generate`' : 'written';
  for (const name of stale) process.stdout.write(`${name}: ${what}\n`);
  process.exitCode = check && stale.length > 0 ? 1 : 0;
}

main();
