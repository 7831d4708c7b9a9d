#!/usr/bin/env node
'use strict';
// Puts ONNX Runtime beside our module under a file name and SONAME of our own. The loader tells libraries apart by
// SONAME: with the upstream one, whichever package loads its copy first decides the version for the whole process.

const fs = require('node:fs');
const path = require('node:path');

const SONAME_THEIRS = 'libonnxruntime.so.1';
// CONTRACT: at most as long as the name it replaces, since the string table cannot grow in place.
const SONAME_OURS = 'libtrt_asr_ort.so';
const FILE_OURS = 'libtrt_asr_onnxruntime.so';
const NOTICES = ['LICENSE', 'ThirdPartyNotices.txt', 'package.json'];

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NULL = 0;
const DT_STRTAB = 5;
const DT_SONAME = 14;

/**
 * Reads the program headers of a 64-bit little-endian ELF file.
 * @param {Buffer} elf
 * @returns {{ type: number, offset: number, address: number, bytes: number }[]}
 */
function programHeaders(elf) {
  const isElf64Little =
    elf.length >= 64 && elf.readUInt32BE(0) === 0x7f454c46 && elf[4] === 2 && elf[5] === 1;
  if (!isElf64Little) throw new Error('expected a 64-bit little-endian ELF file');
  const table = Number(elf.readBigUInt64LE(32));
  const entryBytes = elf.readUInt16LE(54);
  const count = elf.readUInt16LE(56);
  return Array.from({ length: count }, (_, index) => {
    const entry = table + index * entryBytes;
    return {
      type: elf.readUInt32LE(entry),
      offset: Number(elf.readBigUInt64LE(entry + 8)),
      address: Number(elf.readBigUInt64LE(entry + 16)),
      bytes: Number(elf.readBigUInt64LE(entry + 32)),
    };
  });
}

/**
 * File offset of the SONAME's characters.
 * @param {Buffer} elf
 * @returns {number}
 */
function sonameOffset(elf) {
  const headers = programHeaders(elf);
  const dynamic = headers.find((header) => header.type === PT_DYNAMIC);
  if (!dynamic) throw new Error('expected a dynamic section, found none');
  const values = new Map();
  for (let entry = dynamic.offset; entry < dynamic.offset + dynamic.bytes; entry += 16) {
    const tag = Number(elf.readBigInt64LE(entry));
    if (tag === DT_NULL) break;
    values.set(tag, Number(elf.readBigUInt64LE(entry + 8)));
  }
  if (!values.has(DT_SONAME)) throw new Error('expected a SONAME, found none');
  const strings = values.get(DT_STRTAB);
  const segment = headers.find(
    ({ type, address, bytes }) => type === PT_LOAD && strings >= address && strings < address + bytes,
  );
  if (!segment) throw new Error('expected the string table inside a loaded segment');
  return strings - segment.address + segment.offset + values.get(DT_SONAME);
}

/**
 * Replaces the SONAME in place. The version definition may share the string; it names the same library, so it
 * may change along.
 * @param {Buffer} elf
 */
function renameSoname(elf) {
  const offset = sonameOffset(elf);
  const found = elf.toString('latin1', offset, elf.indexOf(0, offset));
  if (found !== SONAME_THEIRS) throw new Error(`expected SONAME ${SONAME_THEIRS}, found ${found}`);
  elf.fill(0, offset, offset + SONAME_THEIRS.length);
  elf.write(SONAME_OURS, offset, 'latin1');
}

/**
 * Copies the licence notices the package has; without a LICENSE file its package.json is what names the licence.
 * @param {string} packageDir
 * @param {string} destination folder
 */
function copyNotices(packageDir, destination) {
  for (const name of NOTICES) {
    const source = path.join(packageDir, name);
    if (!fs.existsSync(source)) continue;
    fs.copyFileSync(source, path.join(destination, `libtrt_asr_onnxruntime.${name}`));
  }
}

/**
 * Writes the renamed library into a folder. The file appears whole or not at all, so that a build that was cut
 * short leaves nothing that looks finished.
 * @param {string} packageDir folder of the npm package onnxruntime-node
 * @param {string} destination folder
 * @param {string} arch as Node names the processor that the library is for
 */
function vendor(packageDir, destination, arch) {
  const source = path.join(packageDir, 'bin', 'napi-v6', process.platform, arch, SONAME_THEIRS);
  if (!fs.existsSync(source)) {
    throw new Error(`no ONNX Runtime for ${process.platform}-${arch}: ${source} is not there`);
  }
  const elf = fs.readFileSync(source);
  renameSoname(elf);
  fs.mkdirSync(destination, { recursive: true });
  const target = path.join(destination, FILE_OURS);
  const partial = `${target}.${process.pid}.partial`;
  fs.writeFileSync(partial, elf, { mode: 0o755 });
  fs.renameSync(partial, target);
  copyNotices(packageDir, destination);
}

const [packageDir, destination, arch = process.arch] = process.argv.slice(2);
if (!packageDir || !destination) {
  console.error('usage: vendor-ort.js PACKAGE_FOLDER DESTINATION_FOLDER [ARCH]');
  process.exit(2);
}
try {
  vendor(packageDir, destination, arch);
} catch (error) {
  console.error(`vendor-ort: ${error.message}`);
  process.exit(1);
}
