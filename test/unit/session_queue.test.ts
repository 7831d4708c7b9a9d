// How a session's events queue, and how it ends, over a native side that is played: when it takes samples and what it tells is then
// the test's to say.
import { getEventListeners } from 'node:events';
import { describe, expect, test } from 'vitest';
import {
  AsrError,
  all,
  asrFailure,
  FakeNative,
  failure,
  fakeSession,
  final,
  idle,
  settled,
  window,
} from './session_support';

const samples = (count: number, value = 0.5) => new Float32Array(count).fill(value);

describe('events', () => {
  test('are not kept while nobody reads', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    for (let i = 0; i < 1000; i++) native.emit(window([final('old')], { text: 'old', stableLength: 0 }));
    await session.write(samples(10));
    const found = session.events().next();
    native.emit(window([final('new')]));
    expect((await found).value).toMatchObject({ type: 'final', text: 'new' });
  });

  test('of partials that nobody has read yet keep the newest, and a final replaces it', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    const events = session.events();
    native.emit(window([], { text: 'a', stableLength: 0 }));
    native.emit(window([], { text: 'a b', stableLength: 1 }));
    expect((await events.next()).value).toEqual({ type: 'partial', text: 'a b', stableLength: 1 });
    native.emit(window([], { text: 'a b c', stableLength: 3 }));
    native.emit(window([final('a b c.')], { text: 'd', stableLength: 0 }));
    const found = [await events.next(), await events.next(), await events.next()].map(({ value }) => value);
    expect(found).toMatchObject([
      { type: 'final', text: 'a b c.', startMs: 0, endMs: 80, confidence: 0.5 },
      { type: 'endpoint', atMs: 880, reason: 'silence' },
      { type: 'partial', text: 'd' },
    ]);
  });

  test('that a reader leaves lying hold back the writes, and none is lost', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    const events = session.events();
    for (let i = 0; i < 200; i++) native.emit(window([final(`f${i}`)], { text: 'p', stableLength: 0 }));
    const written = session.write(samples(10));
    expect(await settled(written)).toBe(false);
    expect(native.taken.length).toBe(0);
    expect(native.holds).toBe(1);
    const texts: string[] = [];
    while (texts.length < 200) {
      const { value } = await events.next();
      if (value?.type === 'final') texts.push(value.text);
    }
    await written;
    expect(texts).toEqual(Array.from({ length: 200 }, (_, i) => `f${i}`));
    expect(native.taken.length).toBe(10);
    expect(native.holds).toBe(0);
  });

  test('that a reader leaves lying hold back no end', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    const events = session.events();
    for (let i = 0; i < 200; i++) native.emit(window([final(`f${i}`)]));
    const ending = session.end();
    await idle();
    expect(native.ended).toBe(true);
    native.emit(window([final('last')]));
    native.emit({ type: 'end' });
    await ending;
    expect((await all(events)).length).toBe(2 * 201 + 1);
  });

  test('that a reader leaves lying hold back nothing once he is gone', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    const events = session.events();
    for (let i = 0; i < 200; i++) native.emit(window([final(`f${i}`)]));
    const written = session.write(samples(10));
    expect(await settled(written)).toBe(false);
    await events.return?.();
    await written;
    expect((await events.next()).done).toBe(true);
  });

  test('have one reader at a time, and another after it', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    const reading = (async () => {
      for await (const event of session.events()) return event;
    })();
    expect(() => session.events()).toThrow(AsrError);
    await idle();
    native.emit(window([final('one')]));
    expect(await reading).toMatchObject({ text: 'one' });
    const rest = all(session.events());
    native.emit(window([final('two')]));
    const ending = session.end();
    await idle();
    native.emit({ type: 'end' });
    await ending;
    expect((await rest).map(({ type }) => type)).toEqual(['final', 'endpoint', 'end']);
  });

  test('carry what `timestamps` asks for', async () => {
    for (const [timestamps, words, tokens] of [
      ['none', 0, 0],
      ['word', 1, 0],
      ['token', 1, 1],
    ] as const) {
      const native = new FakeNative();
      const { session } = fakeSession(native, { timestamps });
      const events = session.events();
      native.emit(window([final('x', 160)]));
      const { value } = await events.next();
      expect(value).toMatchObject({ type: 'final', confidence: 0.5 });
      if (value?.type !== 'final') return expect.fail('no final');
      expect(value.words.length).toBe(words);
      expect(value.tokens.length).toBe(tokens);
      if (tokens > 0)
        expect(value.tokens[0]).toMatchObject({ id: 1, piece: '▁b', frame: 2, startMs: 160, endMs: 240 });
    }
  });

  test('that several wait for come in order, and all of them end', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native);
    const events = session.events();
    const found = Promise.all([events.next(), events.next(), events.next()]);
    native.emit(window([final('x')]));
    await session.close();
    expect((await found).map(({ value, done }) => value?.type ?? done)).toEqual(['final', 'endpoint', true]);
  });
});

describe('the end', () => {
  test('gives the finals joined, and the last event', async () => {
    const native = new FakeNative();
    const { session, slots } = fakeSession(native, { sampleRateHz: 16000 });
    const events = all(session.events());
    await session.write(samples(16000));
    const ending = session.end();
    expect(session.end()).toBe(ending);
    native.emit(window([final('hello')]));
    native.emit(window([final('world', 80)]));
    native.emit({ type: 'end' });
    const transcript = await ending;
    expect(transcript).toMatchObject({ text: 'hello world', durationMs: 1000, confidence: 0.5 });
    expect(transcript.words.map(({ text, durationMs }) => [text, durationMs])).toEqual([
      ['hello', 80],
      ['world', 80],
    ]);
    expect(transcript.tokens.length).toBe(2);
    expect(transcript.timings).toMatchObject({ featuresMs: 2, encoderMs: 4, decodeMs: 6 });
    expect(transcript.timings.rtfx).toBeCloseTo(1000 / transcript.timings.totalMs, 6);
    const last = (await events).at(-1);
    expect(last).toEqual({ type: 'end', durationMs: 1000, timings: transcript.timings });
    expect(slots).toMatchObject({ free: 1 });
    expect(native.holds).toBe(0);
    expect((await asrFailure(session.write(samples(1)))).code).toBe('ERR_CLOSED');
    await session.close();
  });

  test('waits for writes that wait', async () => {
    const native = new FakeNative(5);
    const { session } = fakeSession(native);
    void session.write(samples(10));
    const ending = session.end();
    await idle();
    expect(native.ended).toBe(false);
    native.give(5);
    await idle();
    expect(native.ended).toBe(true);
    expect((await asrFailure(session.write(samples(1)))).code).toBe('ERR_CLOSED');
    native.emit({ type: 'end' });
    await ending;
  });

  test('without a transcript keeps none', async () => {
    const native = new FakeNative();
    const { session } = fakeSession(native, { transcript: false });
    native.emit(window([final('hello')]));
    const ending = session.end();
    await idle();
    native.emit({ type: 'end' });
    expect(await ending).toMatchObject({ text: '', words: [], tokens: [], timings: { encoderMs: 2 } });
  });
});

describe('giving up', () => {
  test('by close rejects what waits, ends the events and frees the slot', async () => {
    const native = new FakeNative(0);
    const { session, slots } = fakeSession(native);
    const events = all(session.events());
    const waiting = [session.write(samples(10)), session.write(samples(10)), session.end()].map(asrFailure);
    await idle();
    expect(native.holds).toBeGreaterThan(0);
    await Promise.all([session.close(), session.close()]);
    for (const error of await Promise.all(waiting)) expect(error.code).toBe('ERR_CLOSED');
    expect(await events).toEqual([]);
    expect(slots).toMatchObject({ free: 1 });
    expect(native.holds).toBe(0);
    expect((await asrFailure(session.end())).code).toBe('ERR_CLOSED');
    expect(await all(session.events())).toEqual([]);
    await session.close();
  });

  test('by an abort rejects with its reason, behind what is queued', async () => {
    const native = new FakeNative(0);
    const abort = new AbortController();
    const { session, slots } = fakeSession(native, { signal: abort.signal });
    const events = session.events();
    native.emit(window([final('x')]));
    const waiting = [session.write(samples(10)), session.end()].map(failure);
    abort.abort('enough');
    expect(await Promise.all(waiting)).toEqual(['enough', 'enough']);
    expect((await events.next()).value).toMatchObject({ type: 'final' });
    expect((await events.next()).value).toMatchObject({ type: 'endpoint' });
    expect(await failure(events.next())).toBe('enough');
    expect((await events.next()).done).toBe(true);
    expect(await failure(session.write(samples(1)))).toBe('enough');
    await session.close();
    expect(slots).toMatchObject({ free: 1 });
  });

  test('does not wait for a window that is being computed', async () => {
    const native = new FakeNative(0);
    native.cancel = () => {};
    const { session, slots } = fakeSession(native);
    const ending = [session.write(samples(10)), session.end()].map(asrFailure);
    await idle();
    const closing = session.close();
    for (const error of await Promise.all(ending)) expect(error.code).toBe('ERR_CLOSED');
    expect(await settled(closing)).toBe(false);
    expect(slots).toMatchObject({ free: 0 });
    native.emit({ type: 'cancelled' });
    await closing;
    expect(slots).toMatchObject({ free: 1 });
  });

  test('of an end that the core works on, too', async () => {
    const native = new FakeNative();
    native.cancel = () => {};
    const { session } = fakeSession(native);
    const ending = asrFailure(session.end());
    await idle();
    expect(native.ended).toBe(true);
    void session.close();
    expect((await ending).code).toBe('ERR_CLOSED');
  });

  test('before it begins takes no slot', () => {
    const signal = AbortSignal.abort('never');
    expect(() => fakeSession(new FakeNative(), { signal })).toThrow('never');
  });

  test('of the core rejects with what it says', async () => {
    const native = new FakeNative(0);
    const { session, slots } = fakeSession(native);
    const events = asrFailure(all(session.events()));
    const waiting = [session.write(samples(10)), session.end()].map(asrFailure);
    native.emit({ type: 'failed', error: Object.assign(new Error('lost'), { code: 'ERR_CLOSED' }) });
    for (const error of await Promise.all([...waiting, events])) expect(error.message).toBe('lost');
    expect((await asrFailure(session.write(samples(1)))).message).toBe('lost');
    expect(slots).toMatchObject({ free: 1 });
    await session.close();
  });

  test('leaves nothing listening on a signal that lives on', async () => {
    const abort = new AbortController();
    const before = listeners(abort.signal);
    for (let i = 0; i < 3; i++) await fakeSession(new FakeNative(), { signal: abort.signal }).session.close();
    expect(listeners(abort.signal)).toBe(before);
  });

  test('by one signal of many has one listener, and fails those that are left', async () => {
    const abort = new AbortController();
    const { signal } = abort;
    const before = listeners(signal);
    const sessions = Array.from({ length: 20 }, () => fakeSession(new FakeNative(0), { signal }).session);
    expect(listeners(signal)).toBe(before + 1);
    await sessions[0]?.close();
    expect(listeners(signal)).toBe(before + 1);
    const waiting = sessions.map((session) => failure(session.write(samples(10))));
    abort.abort('enough');
    const [closed, ...others] = await Promise.all(waiting);
    expect(closed).toMatchObject({ code: 'ERR_CLOSED' });
    expect(others).toEqual(new Array(19).fill('enough'));
    expect(listeners(signal)).toBe(0);
  });
});

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length;
}
