import { existsSync } from 'node:fs';
import * as path from 'node:path';
import { AsrError } from '../errors';

let root: string | undefined;

/**
 * The folder of the installed package. The compiled files may lie at any depth below it (dist/, dist/model/), so
 * it is searched for rather than spelled out.
 */
export function packageRoot(): string {
  if (root !== undefined) return root;
  let dir = __dirname;
  while (!existsSync(path.join(dir, 'contracts', 'schema.json'))) {
    const parent = path.dirname(dir);
    if (parent === dir) {
      throw new AsrError({
        code: 'ERR_INTERNAL',
        field: 'package',
        expected: 'contracts/schema.json in a folder above the compiled files',
        received: `none above ${__dirname}`,
        remedy: 'Install the package again; a bundler has to leave it external.',
      });
    }
    dir = parent;
  }
  root = dir;
  return dir;
}
