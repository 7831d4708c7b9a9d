'use strict';
// Long audio for the benchmarks: 16 kHz mono 16-bit WAV files in a temporary folder, written piece by piece.

const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..', '..');
const RATE_HZ = 16000;
const HEADER_BYTES = 44;

/** A WAV file that is being written; `close` puts the lengths into its header. */
class WavWriter {
  #file;
  #bytes = 0;

  constructor(name) {
    this.#file = fs.openSync(name, 'w');
    fs.writeSync(this.#file, Buffer.alloc(HEADER_BYTES));
  }

  get samples() {
    return this.#bytes / 2;
  }

  write(pcm) {
    fs.writeSync(this.#file, pcm);
    this.#bytes += pcm.length;
  }

  close() {
    const header = Buffer.alloc(HEADER_BYTES);
    header.write('RIFF', 0, 'latin1');
    header.writeUInt32LE(HEADER_BYTES - 8 + this.#bytes, 4);
    header.write('WAVEfmt ', 8, 'latin1');
    header.writeUInt32LE(16, 16);
    header.writeUInt16LE(1, 20);
    header.writeUInt16LE(1, 22);
    header.writeUInt32LE(RATE_HZ, 24);
    header.writeUInt32LE(RATE_HZ * 2, 28);
    header.writeUInt16LE(2, 32);
    header.writeUInt16LE(16, 34);
    header.write('data', 36, 'latin1');
    header.writeUInt32LE(this.#bytes, 40);
    fs.writeSync(this.#file, header, 0, HEADER_BYTES, 0);
    fs.closeSync(this.#file);
  }
}

/** Decodes any file the package reads to a WAV file, so that a peer which reads WAV alone hears the same samples. */
async function convertToWav(source, name) {
  const { openAudio } = require(path.join(root, 'dist', 'audio.js'));
  const input = await openAudio(source);
  const wav = new WavWriter(name);
  for await (const chunk of input.chunks) {
    const pcm = Buffer.alloc(chunk.length * 2);
    chunk.forEach((sample, index) => {
      pcm.writeInt16LE(Math.max(-32768, Math.min(32767, Math.round(sample * 32768))), index * 2);
    });
    wav.write(pcm);
  }
  wav.close();
  return wav.samples / RATE_HZ;
}

/** All samples of a file, at RATE_HZ. */
async function readSamples(source) {
  const { openAudio } = require(path.join(root, 'dist', 'audio.js'));
  const input = await openAudio(source);
  const chunks = [];
  for await (const chunk of input.chunks) chunks.push(chunk);
  const samples = new Float32Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    samples.set(chunk, at);
    at += chunk.length;
  }
  return samples;
}

/** Speech again and again, with pauses of 0.3 to 1.5 s between, until `seconds` are full. */
async function writeSpeech(name, seconds) {
  const scratch = `${name}.speech`;
  await convertToWav(path.join(root, 'test', 'fixtures', 'golden', 'audio', 'speech.wav'), scratch);
  const speech = fs.readFileSync(scratch).subarray(HEADER_BYTES);
  fs.rmSync(scratch);
  const wav = new WavWriter(name);
  const samplesMax = Math.round(seconds * RATE_HZ);
  const put = (pcm) => wav.write(pcm.subarray(0, (samplesMax - wav.samples) * 2));
  for (let turn = 0; wav.samples < samplesMax; turn += 1) {
    put(speech);
    put(Buffer.alloc(Math.round((0.3 + 0.2 * (turn % 7)) * RATE_HZ) * 2));
  }
  wav.close();
  return wav.samples / RATE_HZ;
}

/** The model that is measured unless another is named: the demo model, else the tiny one of the tests. */
function standardModel() {
  const demo = path.join(root, 'models', 'demo-en');
  if (fs.existsSync(path.join(demo, 'contract.json'))) return demo;
  return path.join(root, 'test', 'fixtures', 'models', 'tiny-ours');
}

module.exports = { RATE_HZ, root, convertToWav, readSamples, writeSpeech, standardModel };
