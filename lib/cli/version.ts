import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { packageRoot } from '../model/package_root';

export function packageVersion(): string {
  const text = readFileSync(path.join(packageRoot(), 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
