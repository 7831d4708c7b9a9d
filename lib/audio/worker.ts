import { parentPort, workerData } from 'node:worker_threads';
import { AsrError } from '../errors';
import { type ByteSource, FileSource, PulledSource } from './byte_source';
import { openAac, openFlac, openMp3, openOpus, openVorbis } from './compressed';
import { detectFormat } from './detect';
import type { FromWorker, PcmBlock, PcmStream, ToWorker, WorkerTask } from './protocol';
import { CHUNK_SAMPLES, CREDIT_CHUNKS, RATE_HZ_MAX, RATE_HZ_MIN } from './protocol';
import { Rechunker } from './rechunk';
import { createResampler, type Resampler } from './resample';
import { openWav } from './wav';

if (parentPort === null) throw new Error('this module runs in a worker thread');
const port = parentPort;

let credits = CREDIT_CHUNKS;
let wakeCredit: (() => void) | undefined;
let takeAnswer: ((answer: Uint8Array | Float32Array | null) => void) | undefined;

port.on('message', (message: ToWorker) => {
  if (message.type === 'credit') {
    credits++;
    wakeCredit?.();
    return;
  }
  takeAnswer?.(message.type === 'bytes' ? message.bytes : message.samples);
});

function send(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

function pull(): Promise<Uint8Array | Float32Array | null> {
  return new Promise((resolve) => {
    takeAnswer = resolve;
    send({ type: 'pull' });
  });
}

/** Sends samples in chunks of one length, each as soon as the parent has room. */
class Sender {
  readonly #rechunker = new Rechunker(CHUNK_SAMPLES);

  async push(samples: Float32Array): Promise<void> {
    for (const chunk of this.#rechunker.push(samples)) await this.#send(chunk);
  }

  async flush(): Promise<void> {
    for (const chunk of this.#rechunker.flush()) await this.#send(chunk);
  }

  async #send(samples: Float32Array<ArrayBuffer>): Promise<void> {
    while (credits === 0) {
      await new Promise<void>((resolve) => {
        wakeCredit = resolve;
      });
    }
    credits--;
    send({ type: 'chunk', samples }, [samples.buffer]);
  }
}

function openFormat(
  format: Awaited<ReturnType<typeof detectFormat>>,
  source: ByteSource,
): Promise<PcmStream> {
  switch (format) {
    case 'wav':
      return openWav(source);
    case 'flac':
      return openFlac(source);
    case 'mp3':
      return openMp3(source);
    case 'opus':
      return openOpus(source);
    case 'vorbis':
      return openVorbis(source);
    default:
      return openAac(source, format);
  }
}

async function* pulledSamples(rateHz: number): AsyncGenerator<PcmBlock> {
  for (let samples = await pull(); samples !== null; samples = await pull()) {
    yield { channels: [samples as Float32Array], rateHz };
  }
}

async function run(task: WorkerTask): Promise<void> {
  if (task.kind === 'samples') {
    send({ type: 'open', durationMs: undefined });
    await convert(pulledSamples(task.rateHz), task.name);
    return;
  }
  const source =
    task.kind === 'file'
      ? new FileSource(task.name)
      : new PulledSource(task.name, pull as () => Promise<Uint8Array | null>);
  try {
    const stream = await openFormat(await detectFormat(source), source);
    send({ type: 'open', durationMs: stream.durationMs });
    await convert(stream.blocks, task.name);
  } finally {
    source.close();
  }
}

async function convert(blocks: AsyncGenerator<PcmBlock>, name: string): Promise<void> {
  const sender = new Sender();
  let resampler: Resampler | undefined;
  let rateHz = 0;
  try {
    for await (const block of blocks) {
      if (block.rateHz !== rateHz) {
        // A chained stream may change its rate; what came before is finished at the old one.
        for (const samples of resampler?.flush() ?? []) await sender.push(samples);
        rateHz = checkedRate(block.rateHz, name);
        resampler = await createResampler(rateHz);
      }
      for (const samples of resampler?.push(mono(block, name)) ?? []) await sender.push(samples);
    }
  } catch (error) {
    // The samples in front of a corrupt place are heard before the error is.
    for (const samples of resampler?.flush() ?? []) await sender.push(samples);
    await sender.flush();
    throw error;
  }
  for (const samples of resampler?.flush() ?? []) await sender.push(samples);
  await sender.flush();
}

function checkedRate(rateHz: number, name: string): number {
  if (rateHz >= RATE_HZ_MIN && rateHz <= RATE_HZ_MAX) return rateHz;
  throw new AsrError({
    code: 'ERR_AUDIO_DECODE',
    field: name,
    expected: `a sample rate of ${RATE_HZ_MIN} to ${RATE_HZ_MAX} Hz`,
    received: `${rateHz} Hz`,
  });
}

/** The mean of the channels. */
function mono({ channels }: PcmBlock, name: string): Float32Array {
  const [first = new Float32Array(0), ...others] = channels;
  const mean = others.length === 0 ? first : new Float32Array(first.length);
  if (others.length > 0) {
    for (let at = 0; at < first.length; at++) {
      let sum = first[at] as number;
      for (const channel of others) sum += channel[at] as number;
      mean[at] = sum / channels.length;
    }
  }
  for (const sample of mean) {
    if (Number.isFinite(sample)) continue;
    const remedy = 'Write the file again with finite samples.';
    throw new AsrError({
      code: 'ERR_AUDIO_DECODE',
      field: name,
      expected: 'finite samples',
      received: `${sample}`,
      remedy,
    });
  }
  return mean;
}

run(workerData as WorkerTask).then(
  () => send({ type: 'end' }),
  (error: unknown) => {
    const { code, message, field, expected, received, remedy } = AsrError.from(error);
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause.message : undefined;
    send({ type: 'error', fields: { code, message, field, expected, received, remedy }, cause });
  },
);
