'use strict';
// The files of a model folder and the size of its encoder, as the package itself finds them.

const fs = require('node:fs');
const path = require('node:path');
const { root } = require('../audio.js');

// WHY: a graph's nodes are written before its weights, but some have a table of 40 MB in them.
const NODES_BYTES_MAX = 1 << 27;

/** Whether a graph multiplies integers, whatever its file is called. */
function multipliesIntegers(file) {
  const head = Buffer.alloc(Math.min(fs.statSync(file).size, NODES_BYTES_MAX));
  const opened = fs.openSync(file, 'r');
  fs.readSync(opened, head);
  fs.closeSync(opened);
  return head.includes('MatMulInteger');
}

/** { files: { encoder, predictor, joint, vocab }, quantized } of a folder; `quantized` is about its encoder. */
async function resolve(model, home = root) {
  const { resolveModel } = require(path.join(home, 'dist', 'model'));
  const { files, quantized } = await resolveModel(path.resolve(model), { offline: true });
  return { files, quantized: quantized || multipliesIntegers(files.encoder) };
}

/** Whether the package takes several rows of this model at once: of int8 models, packed ones alone. */
async function batchable(model, home = root) {
  const { isPacked, resolveModel } = require(path.join(home, 'dist', 'model'));
  const { files, quantized } = await resolveModel(path.resolve(model), { offline: true });
  // Packages from before there were packed models lack the function.
  return !quantized || isPacked?.(files) === true;
}

// SOURCE: the reference contract. WHY: folders of the peer's layout have none, and full-size ones are of this architecture.
const REFERENCE = 'parakeet-tdt-0.6b-v3.contract.json';
const FULL_SIZE_BYTES = 300e6;

/** layers, width, feed_forward_width, convolution_kernel, subsampling_channels of an encoder; undefined where nothing tells. */
function dimensionsOf(model) {
  const own = path.join(model, 'contract.json');
  const bytes = fs
    .readdirSync(model)
    .reduce((sum, name) => sum + fs.statSync(path.join(model, name)).size, 0);
  const file = fs.existsSync(own) ? own : path.join(root, 'contracts', REFERENCE);
  if (file !== own && bytes < FULL_SIZE_BYTES) return undefined;
  return { mel_bins: 128, ...JSON.parse(fs.readFileSync(file, 'utf8')).encoder };
}

/**
 * Operations (10^9; a multiply-add is two) of an offline FastConformer encoder with subsampling by 8 over `frames` feature frames:
 * products with weights, attention and convolutions; norms and activations are left out, and the projection of the positions, which is of
 * the length alone and need not be made for each clip.
 */
function encoderGop(dimensions, frames) {
  const {
    layers,
    width,
    feed_forward_width: inner,
    convolution_kernel: taps,
    subsampling_channels: channels,
  } = dimensions;
  const T = Math.ceil(frames / 8);
  const [t2, t4] = [Math.ceil(frames / 2), Math.ceil(frames / 4)];
  const [f2, f4, f8] = [2, 4, 8].map((factor) => dimensions.mel_bins / factor);
  const subsampling =
    9 * channels * (t2 * f2 + t4 * f4 + T * f8) +
    channels ** 2 * (t4 * f4 + T * f8) +
    channels * f8 * width * T;
  const feedForward = 4 * width * inner * T;
  const attention = 4 * width ** 2 * T + width * T * (2 * T + (2 * T - 1));
  const convolution = (3 * width ** 2 + taps * width) * T;
  return (2 * (subsampling + layers * (feedForward + attention + convolution))) / 1e9;
}

module.exports = { batchable, dimensionsOf, encoderGop, resolve };
