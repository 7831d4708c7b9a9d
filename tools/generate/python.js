'use strict';
// What the exporter puts into every folder, from the reference contract.

function python(value, indent = '') {
  if (value === true) return 'True';
  if (value === false) return 'False';
  if (value === null) return 'None';
  if (typeof value !== 'object') return JSON.stringify(value);
  const inner = `${indent}    `;
  if (Array.isArray(value)) return `[${value.map((element) => python(element, inner)).join(', ')}]`;
  const entries = Object.entries(value);
  const flat = entries.every(([, element]) => typeof element !== 'object' || element === null);
  const pairs = entries.map(([key, element]) => `${JSON.stringify(key)}: ${python(element, inner)}`);
  if (flat) return `{${pairs.join(', ')}}`;
  return `{\n${pairs.map((pair) => `${inner}${pair},\n`).join('')}${indent}}`;
}

function pythonText(reference) {
  return `"""Written by \`npm run generate\` from contracts/${reference.model.name}.contract.json."""

SCHEMA = ${python(reference.schema)}

TOLERANCES = ${python(reference.tolerances)}

TENSORRT_PROFILES = ${python(reference.tensorrt.profiles)}

LATENCY = ${python(reference.latency)}
`;
}

module.exports = { pythonText };
