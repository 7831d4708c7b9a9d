import { readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';

const root = path.resolve(__dirname, '../..');

/** Field -> source, from the tables of docs/CONTRACT_SOURCES.md. */
function documentedSources(): Map<string, string> {
  const sources = new Map<string, string>();
  const text = readFileSync(path.join(root, 'docs/CONTRACT_SOURCES.md'), 'utf8');
  for (const row of text.matchAll(/^\| `([\w.[\]*]+)` \|(.*)\|$/gm)) {
    const [, field = '', source = ''] = row;
    sources.set(field, source.trim());
  }
  return sources;
}

/** The path of every number of a contract; list elements are `[]`, file names `*`. */
function numbersOf(value: unknown, at = ''): string[] {
  if (typeof value === 'number') return [at];
  if (Array.isArray(value)) return value.flatMap((element) => numbersOf(element, `${at}[]`));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const name = at === 'files' ? '*' : key;
    return numbersOf(inner, at === '' ? name : `${at}.${name}`);
  });
}

function withoutSource(contract: unknown, sources: Map<string, string>): string[] {
  return [...new Set(numbersOf(contract))].filter((field) => (sources.get(field) ?? '') === '');
}

const references = readdirSync(path.join(root, 'contracts')).filter((name) =>
  name.endsWith('.contract.json'),
);
const files = [...references.map((name) => `contracts/${name}`), 'models/demo-en/contract.json'];
const contracts = files.map((file) => JSON.parse(readFileSync(path.join(root, file), 'utf8')) as object);

describe('docs/CONTRACT_SOURCES.md', () => {
  const sources = documentedSources();

  test.each(files)('names a source for every number of %s', (file) => {
    expect(withoutSource(contracts[files.indexOf(file)], sources)).toEqual([]);
  });

  test('has no row that no contract uses', () => {
    const used = new Set(contracts.flatMap((contract) => numbersOf(contract)));
    expect([...sources.keys()].filter((field) => !used.has(field))).toEqual([]);
  });

  test('fails on a number without a source', () => {
    const unsourced = { ...contracts[0], decode: { blank_id: 8192, temperature: 0.7 } };
    expect(withoutSource(unsourced, sources)).toEqual(['decode.temperature']);
    const emptied = new Map(sources).set('decode.blank_id', '');
    expect(withoutSource(contracts[0], emptied)).toEqual(['decode.blank_id']);
  });
});
