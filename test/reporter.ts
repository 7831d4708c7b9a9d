import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

/**
 * Counts every test once. Under `npm test` the counts go to the file named by TRT_ASR_TEST_COUNTS, for
 * tools/test.js to add up; run alone, vitest closes with the line `N passed, N failed`.
 */
export default class CountReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<unknown>): void {
    let passed = 0;
    // An error outside any test, such as a crashed fork, fails the run though no test failed.
    let failed = unhandledErrors.length;
    for (const module of modules) {
      let counted = 0;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed += 1;
        // Tests do not get skipped here: one that did not run has not passed.
        else failed += 1;
        counted += 1;
      }
      // A file that cannot be imported, or whose hook failed, holds no failed test of its own.
      if (module.errors().length > 0 || counted === 0) failed += 1;
    }
    const file = process.env.TRT_ASR_TEST_COUNTS;
    if (file !== undefined) writeFileSync(file, JSON.stringify({ passed, failed }));
    else process.on('exit', () => process.stdout.write(`${passed} passed, ${failed} failed\n`));
  }
}
