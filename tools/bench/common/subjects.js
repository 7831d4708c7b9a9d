'use strict';
// Who is measured against whom: the peer on its folder, we on the same files, and our own forms of the model.

const fs = require('node:fs');
const path = require('node:path');
const { root, standardModel } = require('../audio.js');

// WHY: ratios of tiny models compare what surrounds the model; the targets speak of the 0.6 B architecture, 650 MB in int8.
const FULL_SIZE_BYTES = 300e6;

const PEER = 'sherpa-onnx-node';
const SAME = 'trt-asr, same files';

function bytesOf(model) {
  return fs
    .readdirSync(model)
    .map((name) => fs.statSync(path.join(model, name)))
    .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);
}

/**
 * Links to a model of the peer's layout without the byte pieces of control characters: a model of random weights emits them, and
 * the peer (seen with 1.13.8) puts them bare into JSON that its own wrapper then fails to parse. The graphs are the same files.
 */
function printable(model, folder) {
  const copy = fs.mkdtempSync(path.join(folder, 'peer-model-'));
  for (const name of fs.readdirSync(model)) {
    if (name !== 'tokens.txt') fs.symlinkSync(fs.realpathSync(path.join(model, name)), path.join(copy, name));
  }
  const tokens = fs.readFileSync(path.join(model, 'tokens.txt'), 'utf8');
  fs.writeFileSync(path.join(copy, 'tokens.txt'), tokens.replace(/^<0x([01][0-9A-F]|7F)> /gm, '[$1] '));
  return copy;
}

function folderOf(name, model) {
  const found = path.resolve(model);
  if (!fs.existsSync(found)) throw new Error(`expected a model folder for --${name}, received ${model}`);
  return found;
}

/** "NAME=DIR", or "DIR" for a name of its own. */
function named(text) {
  const at = text.indexOf('=');
  const model = folderOf('ours', at < 0 ? text : text.slice(at + 1));
  return { name: at < 0 ? path.basename(model) : text.slice(0, at), model };
}

const home = (options) => path.resolve(options.package ?? root);

/** Subjects on one set of models: { subject, library, model, role }. */
function subjectsOf({ peerModel, same, full, ours }, options, folder) {
  const subjects = [];
  if (peerModel !== undefined) {
    const model = folderOf('peer-model', peerModel);
    if (options.peer !== undefined)
      subjects.push({
        subject: PEER,
        library: 'peer',
        role: 'peer',
        peer: path.resolve(options.peer),
        model: printable(model, folder),
      });
    subjects.push({ subject: SAME, library: 'ours', role: same === undefined ? 'same' : 'other', model });
  }
  if (same !== undefined)
    subjects.push({
      subject: 'trt-asr, same weights',
      library: 'ours',
      role: 'same',
      model: folderOf('same', same),
    });
  if (full !== undefined)
    subjects.push({
      subject: 'trt-asr, own form',
      library: 'ours',
      role: 'own',
      model: folderOf('full', full),
    });
  for (const { name, model } of ours)
    subjects.push({ subject: `trt-asr, ${name}`, library: 'ours', role: 'other', model });
  return subjects.map((each) => (each.library === 'ours' ? { ...each, home: home(options) } : each));
}

/**
 * The sets of models that were asked for: one, and with --raw-peer-model or --raw-full another one whose joints emit as random weights do.
 * Without any, the demo model, and the tests' tiny one for the peer.
 */
function setsOf(options, folder) {
  const asked = ['peer-model', 'same', 'full', 'ours'].some((key) => options[key] !== undefined);
  const tiny = path.join(root, 'test', 'fixtures', 'models', 'tiny-sherpa');
  const main = {
    peerModel: options['peer-model'] ?? (asked || options.peer === undefined ? undefined : tiny),
    same: options.same,
    full: options.full,
    ours: [...(asked ? [] : [`demo=${options.model ?? standardModel()}`]), ...(options.ours ?? [])].map(
      named,
    ),
  };
  const sets = [{ set: '', subjects: subjectsOf(main, options, folder) }];
  const raw = { peerModel: options['raw-peer-model'], full: options['raw-full'], ours: [] };
  if (raw.peerModel !== undefined || raw.full !== undefined)
    sets.push({ set: 'raw emissions', subjects: subjectsOf(raw, options, folder) });
  return sets;
}

/** Why a comparison between these two is not held against a target, or undefined. */
function notJudged(peer, ours) {
  if (peer === undefined) return 'it needs the peer: --peer FOLDER --peer-model DIR';
  if (ours === undefined) return 'it needs a model in our own form: --full DIR';
  if (bytesOf(ours.model) < FULL_SIZE_BYTES || bytesOf(peer.model) < FULL_SIZE_BYTES)
    return 'it is about full-size models';
  return undefined;
}

const withRole = (subjects, role) => subjects.find((each) => each.role === role);

module.exports = { PEER, home, notJudged, printable, setsOf, withRole };
