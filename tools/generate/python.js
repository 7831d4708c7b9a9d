'use strict';
// What the exporter puts into every folder, from the reference contract, and the form that it checks a contract against.

// A list that is longer than this has a line for each element.
const LINE_MAX = 100;

function python(value, indent = '') {
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (value === null) return 'None';
  if (typeof value !== 'object') return JSON.stringify(value);
  const inner = `${indent}    `;
  if (Array.isArray(value)) {
    const elements = value.map((element) => python(element, inner));
    const line = `[${elements.join(', ')}]`;
    return line.length <= LINE_MAX
      ? line
      : `[\n${elements.map((one) => `${inner}${one},\n`).join('')}${indent}]`;
  }
  const entries = Object.entries(value);
  const flat = entries.every(([, element]) => typeof element !== 'object' || element === null);
  const pairs = entries.map(([key, element]) => `${JSON.stringify(key)}: ${python(element, inner)}`);
  if (flat) return `{${pairs.join(', ')}}`;
  return `{\n${pairs.map((pair) => `${inner}${pair},\n`).join('')}${indent}}`;
}

/** The schema without what is for readers alone, and without the name by which validators would look for it on a network. */
function bare(node) {
  if (typeof node !== 'object' || node === null) return node;
  if (Array.isArray(node)) return node.map(bare);
  const kept = Object.entries(node).filter(
    ([key, value]) => typeof value !== 'string' || !['$id', 'title', 'description'].includes(key),
  );
  return Object.fromEntries(kept.map(([key, value]) => [key, bare(value)]));
}

function pythonText(reference, schema) {
  return `"""Written by \`npm run generate\` from contracts/${reference.model.name}.contract.json and contracts/schema.json."""

SCHEMA = ${python(reference.schema)}

TOLERANCES = ${python(reference.tolerances)}

TENSORRT_PROFILES = ${python(reference.tensorrt.profiles)}

LATENCY = ${python(reference.latency)}

# fmt: off
CONTRACT_SCHEMA = ${python(bare(schema))}
`;
}

module.exports = { pythonText };
