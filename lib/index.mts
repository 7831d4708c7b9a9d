// The ES module entry re-exports the CommonJS build, so that a process has one copy of every class.
export * from './index.js';
