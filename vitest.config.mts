import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A crash of native code ends a fork, and is then a reported failure rather than the end of the run.
    pool: 'forks',
    // WHY: vitest would leave one core free, which is half of a machine with two.
    maxWorkers: '100%',
    reporters: ['default', './test/reporter.ts'],
    testTimeout: 60_000,
    hookTimeout: 300_000,
    passWithNoTests: false,
    typecheck: { enabled: false },
  },
});
