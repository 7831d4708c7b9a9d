// How a session's writes queue, over a native side that is played: when it takes samples is then the test's to say.
import { describe, expect, test } from 'vitest';
import { asrFailure, FakeNative, fakeSession, final, idle, settled, window } from './session_support';

const samples = (count: number, value = 0.5) => new Float32Array(count).fill(value);
const numbered = (from: number, count: number) => Float32Array.from({ length: count }, (_, i) => from + i);

/** Counts the turns of the event loop until the count is asked for. */
function countTurns(): () => number {
  let turns = 0;
  let counting = true;
  const count = () => {
    turns += 1;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  return () => {
    counting = false;
    return turns;
  };
}

describe('writes', () => {
  test('that find room are read before write() returns', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    const mine = numbered(0, 100);
    const written = session.write(mine);
    mine.fill(-1);
    await written;
    expect(native.taken).toEqual([...numbered(0, 100)]);
  });

  test('that nobody awaits wait in order', async () => {
    const native = new FakeNative(50);
    const { session } = fakeSession(native);
    const writes = Array.from({ length: 10 }, (_, i) => session.write(numbered(100 * i, 100)));
    expect(await settled(writes[0] as Promise<void>)).toBe(false);
    native.give(500);
    expect(await settled(writes[4] as Promise<void>)).toBe(true);
    expect(await settled(writes[5] as Promise<void>)).toBe(false);
    native.give(1000);
    await Promise.all(writes);
    expect(native.taken).toEqual([...numbered(0, 1000)]);
  });

  test('beyond 60 s of them are refused, and taken not even in part', async () => {
    const native = new FakeNative(0);
    const { session } = fakeSession(native);
    const waiting = Array.from({ length: 60 }, () => session.write(samples(16000)));
    const error = await asrFailure(session.write(samples(1)));
    expect(error.code).toBe('ERR_OVERLOADED');
    expect(error.message).toContain('60.0 s');
    native.give(16000);
    await waiting[0];
    await idle();
    const late = session.write(samples(16000, 0.25));
    native.give(Number.POSITIVE_INFINITY);
    await Promise.all([...waiting, late]);
    expect(native.taken.length).toBe(61 * 16000);
    expect(native.taken.filter((sample) => sample === 0.25).length).toBe(16000);
  });

  test('however short count for something, and leave turns to the event loop', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    const turns = countTurns();
    // 60 s of 16 kHz, at 100 samples each.
    const writes = Array.from({ length: 9600 }, (_, i) => session.write(numbered(i, 1)));
    expect((await asrFailure(session.write(new Float32Array(0)))).code).toBe('ERR_OVERLOADED');
    await Promise.all(writes);
    expect(native.taken).toEqual([...numbered(0, 9600)]);
    await Promise.all(Array.from({ length: 9600 }, () => session.write(new Float32Array(0))));
    expect(turns()).toBeGreaterThanOrEqual(Math.floor((2 * 9600 * 100) / 40_000));
  });

  test('by the ten thousand, of one sample each, are all taken', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native, { sampleRateHz: 384_000 });
    const turns = countTurns();
    await Promise.all(Array.from({ length: 50_000 }, () => session.write(samples(1))));
    expect(turns()).toBeGreaterThanOrEqual(Math.floor((50_000 * 100) / 40_000));
    const ending = session.end();
    await idle();
    native.emit({ type: 'end' });
    expect((await ending).durationMs).toBeCloseTo(50_000 / 384, 6);
    expect(native.taken.length).toBeCloseTo(50_000 / 24, -1);
  });

  test('that wait, for room, a turn or the reader, have copied a buffer that is used again', async () => {
    for (const count of [1, 16_384]) {
      const native = new FakeNative(count + 10);
      const { session } = fakeSession(native);
      const events = session.events();
      const mine = samples(count);
      const writes = Array.from({ length: 6 }, (_, i) => session.write(mine.fill(i)));
      await idle();
      for (let i = 0; i < 200; i++) native.emit(window([final('x')]));
      native.give(Number.POSITIVE_INFINITY);
      await idle();
      writes.push(session.write(mine.fill(6)));
      expect(await settled(writes[6] as Promise<void>)).toBe(false);
      mine.fill(-1);
      await events.return?.();
      await Promise.all(writes);
      expect(native.taken).toEqual([0, 1, 2, 3, 4, 5, 6].flatMap((i) => new Array(count).fill(i)));
    }
  });

  test('of any length are taken when none waits', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    await session.write(samples(2_000_000));
    expect(native.taken.length).toBe(2_000_000);
  });

  test.each([
    ['one long array', () => [samples(4_000_000)]],
    ['short arrays, each awaited', () => Array.from({ length: 400 }, () => samples(10_000))],
  ])('of %s leave turns to the event loop', async (_, arrays) => {
    const { session } = fakeSession(new FakeNative());
    const turns = countTurns();
    for (const array of arrays()) await session.write(array);
    // At 16 kHz a sample costs an eighth of one that is resampled, and some more than 32,768 of those fill a turn.
    expect(turns()).toBeGreaterThanOrEqual(Math.floor(4_000_000 / 8 / 40_000));
  });

  test('of many sessions share the turns', async () => {
    const sessions = Array.from({ length: 32 }, () => fakeSession(new FakeNative(), { sampleRateHz: 48000 }));
    const turns = countTurns();
    await Promise.all(sessions.map(({ session }) => session.write(samples(48_000))));
    expect(turns()).toBeGreaterThanOrEqual(Math.floor((32 * 48_000) / 50_000));
  });

  test('of 16-bit integers are the floats of them', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    await session.write(Int16Array.of(-32768, -1, 0, 1, 32767));
    expect(native.taken).toEqual([-1, -1 / 32768, 0, 1 / 32768, 32767 / 32768]);
  });

  test('out of shared memory are copied', async () => {
    const native = new FakeNative(1);
    const { session } = fakeSession(native);
    const shared = new Float32Array(new SharedArrayBuffer(16)).fill(0.5);
    const written = session.write(shared);
    await idle();
    shared.fill(Number.NaN);
    native.give(10);
    await written;
    expect(native.taken).toEqual([0.5, 0.5, 0.5, 0.5]);
  });

  test('of nothing are fine', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    await session.write(new Float32Array(0));
    await session.write(new Int16Array(0));
    expect(native.taken).toEqual([]);
  });

  test('name a sample that is not finite by its place in the session, and take nothing', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    await session.write(samples(1000));
    const bad = samples(100_000);
    bad[99_999] = Number.NaN;
    const error = await asrFailure(session.write(bad));
    expect(error.code).toBe('ERR_BAD_ARGUMENT');
    expect(error.field).toBe('samples[100999]');
    expect(native.taken.length).toBe(1000);
    bad[99_999] = Number.POSITIVE_INFINITY;
    expect((await asrFailure(session.write(bad))).received).toBe('Infinity');
    await session.write(samples(10));
    expect(native.taken.length).toBe(1010);
  });

  test('name a number that is no sample, and what samples are', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    for (const bad of [1e20, -3e38, 1_000_001]) {
      const error = await asrFailure(session.write(Float32Array.of(0, bad)));
      expect(error.code).toBe('ERR_BAD_ARGUMENT');
      expect(error.field).toBe('samples[1]');
      expect(error.remedy).toContain('Float32 samples lie in [-1, 1]');
    }
    await session.write(Float32Array.of(-32768, 1_000_000));
    expect(native.taken).toEqual([-32768, 1_000_000]);
  });

  test.each([
    ['an array', [0, 1], undefined, 'samples'],
    ['bytes', new Uint8Array(4), undefined, 'samples'],
    ['doubles', new Float64Array(4), undefined, 'samples'],
    ['nothing', undefined, undefined, 'samples'],
    ['another rate', new Float32Array(4), { sampleRateHz: 8000 }, 'options.sampleRateHz'],
    ['a misspelled option', new Float32Array(4), { sampleRate: 16000 }, 'options.sampleRate'],
    ['options that are none', new Float32Array(4), 16000, 'options'],
  ])('of %s are refused', async (_, bad, options, field) => {
    const { session } = fakeSession(new FakeNative());
    const error = await asrFailure(session.write(bad as never, options as never));
    expect(error.code).toBe('ERR_BAD_ARGUMENT');
    expect(error.field).toBe(field);
    await session.write(samples(1), { sampleRateHz: 16000 });
  });

  test('say that a session has one rate', async () => {
    const { session } = fakeSession(new FakeNative());
    const error = await asrFailure(session.write(samples(1), { sampleRateHz: 48000 }));
    expect(error.message).toContain('one rate');
  });

  test('of a buffer that was transferred are refused, before and in the middle', async () => {
    const native = new FakeNative(8000);
    const { session } = fakeSession(native);
    const gone = samples(10);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    expect((await asrFailure(session.write(gone))).received).toBe('a detached buffer');
    const leaving = samples(100_000);
    const error = asrFailure(session.write(leaving));
    await idle(40);
    structuredClone(leaving.buffer, { transfer: [leaving.buffer] });
    native.give(Number.POSITIVE_INFINITY);
    expect((await error).code).toBe('ERR_BAD_ARGUMENT');
    await session.write(samples(5));
  });

  test('of a buffer that is transferred while its last samples wait lose none', async () => {
    const native = new FakeNative(1);
    const { session } = fakeSession(native);
    const leaving = numbered(0, 100);
    const written = session.write(leaving);
    await idle();
    structuredClone(leaving.buffer, { transfer: [leaving.buffer] });
    native.give(1000);
    await written;
    expect(native.taken).toEqual([...numbered(0, 100)]);
  });
});
