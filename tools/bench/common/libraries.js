'use strict';
// Both libraries behind one shape, in the process that measures:
// { version, engine, transcribe(samples) -> { text, tokens, timings? }, transcribeAll(list), close() }.

const fs = require('node:fs');
const path = require('node:path');
const { RATE_HZ, root } = require('../audio.js');

/** `home`: the package to measure, this checkout unless another is named. Options that are undefined stay the package's own. */
async function openOurs({ home = root, model, device = 'cpu', ...options }) {
  const { Recognizer } = require(path.join(home, 'dist', 'index.js'));
  const given = Object.fromEntries(
    ['threads', 'lanes', 'sessionsMax', 'batchMax'].flatMap((key) =>
      options[key] === undefined ? [] : [[key, options[key]]],
    ),
  );
  const recognizer = await Recognizer.open({ model, device, ...given });
  const told = ({ text, tokens, timings }) => ({ text, tokens: tokens.length, timings });
  return {
    version: require(path.join(home, 'package.json')).version,
    engine: recognizer.identity.engine,
    transcribe: async (samples) => told(await recognizer.transcribe(samples)),
    transcribeAll: async (list) => {
      const found = [];
      for await (const { index, transcript, error } of recognizer.transcribeMany(list)) {
        if (error !== undefined) throw error;
        found[index] = told(transcript);
      }
      return found;
    },
    close: () => recognizer.close(),
  };
}

/** The file of a graph, or of its int8 form where the folder has that alone. */
function graph(model, name) {
  const file = path.join(model, `${name}.onnx`);
  return fs.existsSync(file) ? file : path.join(model, `${name}.int8.onnx`);
}

/** `call`: 'decode' on this thread, one after the other, or 'decodeAsync', all at once. */
async function openPeer({ peer, model, threads, call = 'decode' }) {
  const folder = path.join(peer, 'node_modules', 'sherpa-onnx-node');
  const sherpa = require(folder);
  const recognizer = new sherpa.OfflineRecognizer({
    featConfig: { sampleRate: RATE_HZ, featureDim: 128 },
    modelConfig: {
      transducer: {
        encoder: graph(model, 'encoder'),
        decoder: graph(model, 'decoder'),
        joiner: graph(model, 'joiner'),
      },
      tokens: path.join(model, 'tokens.txt'),
      modelType: 'nemo_transducer',
      numThreads: threads,
      provider: 'cpu',
      debug: 0,
    },
  });
  const told = ({ text, tokens }) => ({ text, tokens: tokens.length });
  const streamOf = (samples) => {
    const stream = recognizer.createStream();
    stream.acceptWaveform({ samples, sampleRate: RATE_HZ });
    return stream;
  };
  const decode = (samples) => {
    const stream = streamOf(samples);
    recognizer.decode(stream);
    return told(recognizer.getResult(stream));
  };
  const decodeAsync = async (samples) => told(await recognizer.decodeAsync(streamOf(samples)));
  return {
    version: require(path.join(folder, 'package.json')).version,
    engine: 'onnxruntime (its own)',
    transcribe: async (samples) => decode(samples),
    transcribeAll: async (list) =>
      call === 'decode' ? list.map(decode) : Promise.all(list.map(decodeAsync)),
    /** Features alone: its wrapper computes them in this call. */
    features: (samples) => void streamOf(samples),
    close: async () => {},
  };
}

const open = (task) => (task.library === 'peer' ? openPeer(task) : openOurs(task));

module.exports = { open };
