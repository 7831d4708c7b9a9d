'use strict';
// House rules as a check: each violation is printed as file:line, and any violation fails.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const ts = require('typescript');

/** The checkout to look at: this one, unless another is named. */
const root = path.resolve(process.argv[2] ?? path.join(__dirname, '..'));

// CONTRACT: nobody has to scroll far to read a function or a file.
// SOURCE: docs/ARCHITECTURE_RUNTIME.md, "a file that passes ~500 lines has two jobs".
const FILE_LINES_MAX = 500;
const FUNCTION_LINES_MAX = 100;

const violations = [];
function report(file, line, text) {
  violations.push(`${file}:${line}: ${text}`);
}

function sourceFiles() {
  const git = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (git.status !== 0) throw new Error(`tidy needs a git checkout: ${git.stderr}`);
  const names = git.stdout.split('\0').filter((name) => name !== '' && fs.existsSync(path.join(root, name)));
  return [...new Set(names)].sort();
}

const TEXT =
  /(\.(c|cpp|cu|h|cc|ts|mts|cts|js|mjs|cjs|json|md|py|toml|txt|cmake|gyp|map|yml|yaml|sh)|^\.ci\/run|CMakeLists\.txt)$/;
const CODE = /\.(c|cpp|cu|h|cc|ts|mts|cts|js|mjs|cjs|py|cmake|gyp|sh)$|^\.ci\/run$|CMakeLists\.txt$/;
const CPP = /^(native|test\/native)\/.*\.(cpp|h)$/;
const SCRIPT = /\.(ts|mts|cts|js|mjs|cjs)$/;

/** 1-based line of a character offset. */
function lineAt(text, offset) {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line += 1;
  return line;
}

/** What others wrote, or a program: its layout is not ours to mend. */
const isFixture = (file) => /^(test\/fixtures|models|tools\/native-build\/licenses)\//.test(file);

/** Whitespace and TODO rules, for every text that people write. */
function checkLines(file, text) {
  if (isFixture(file)) return;
  text.split('\n').forEach((line, index) => {
    if (CODE.test(file) && line.includes('\t')) report(file, index + 1, 'tab: indent with spaces');
    if (/[ \t\r]$/.test(line) && !file.endsWith('.md')) report(file, index + 1, 'trailing whitespace');
    // `none.` closes the block of a settled value. Else a reason is more than a word: the experiment or condition that settles it.
    const todo = CODE.test(file) ? /(?:\/\/|#|\*)\s*(?:TODO|FIXME|XXX)\b(.*)/.exec(line) : null;
    if (todo && !/^(?:\([^)]+\))?:?\s+(?:none\.|\S+(?:\s+\S+)+)/.test(todo[1])) {
      report(file, index + 1, 'TODO without a reason: write `TODO: what settles it`');
    }
  });
  if (text !== '' && !text.endsWith('\n'))
    report(file, text.split('\n').length, 'no newline at the end of the file');
}

/** The registry a machine installs from is that machine's matter; a lock file that names it fails elsewhere. */
function checkHosts(file, text) {
  const hosts = /registry\.(?:npmjs|yarnpkg|npmmirror)\.|pypi\.org|pythonhosted\.org|"resolved":\s*"https?:/g;
  for (const match of text.matchAll(hosts)) {
    report(file, lineAt(text, match.index), `package registry address: ${match[0]}`);
  }
}

/** Blanks comments, strings and characters, keeping the offsets and the lines. */
function withoutStringsAndComments(text) {
  const token =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|R"([^()\s\\]*)\([\s\S]*?\)\1"|"(?:\\[\s\S]|[^"\\\n])*"|(?<![0-9A-Fa-f])'(?:\\[\s\S]|[^'\\\n])*'/g;
  return text.replace(token, (match) => match.replace(/[^\n]/g, ' '));
}

function checkIncludes(file, text) {
  const rooms = [
    [
      /^[ \t]*#[ \t]*include[ \t]*[<"](?:napi|node_api|js_native_api|node|v8|uv)\.h[>"]/gm,
      /^native\/node\//,
      'a Node header outside native/node',
    ],
    [
      /^[ \t]*#[ \t]*include[ \t]*[<"](?:onnxruntime[^>"]*|ort\/ort_api[^>"]*)[>"]/gm,
      /^native\/engine\/ort\//,
      'an ONNX Runtime header outside native/engine/ort',
    ],
    [
      /^[ \t]*#[ \t]*include[ \t]*[<"]Nv[A-Z][^>"]*[>"]/gm,
      /^native\/engine\/tensorrt\//,
      'a TensorRT header outside native/engine/tensorrt',
    ],
    [
      /^[ \t]*#[ \t]*include[ \t]*[<"](?:cuda|cublas|cudnn)[^>"]*[>"]/gm,
      /^(?:native\/engine\/(?:cuda|tensorrt)|test\/native\/stand_ins)\//,
      'a CUDA header outside native/engine/cuda, native/engine/tensorrt and what stands in for them',
    ],
  ];
  for (const [pattern, room, what] of rooms) {
    if (room.test(file)) continue;
    for (const match of text.matchAll(pattern)) report(file, lineAt(text, match.index), what);
  }
  if (!file.startsWith('native/')) return;
  const code = withoutStringsAndComments(text);
  const words = [
    [
      /\b(?:OrtApi|OrtGetApiBase|OrtApiBase|OrtSession|OrtValue|OrtEnv)\b/g,
      /^native\/engine\/ort\//,
      'the ONNX Runtime API outside native/engine/ort',
    ],
    [/\b(?:dlopen|dlmopen|dlsym)\s*\(/g, /^native\/engine\//, 'a library is loaded outside native/engine'],
  ];
  for (const [pattern, room, what] of words) {
    if (room.test(file)) continue;
    for (const match of code.matchAll(pattern))
      report(file, lineAt(code, match.index), `${what}: ${match[0]}`);
  }
}

/** Blocks that follow a parameter list, outermost first: functions, and within none of them anything longer. */
function checkCppFunctions(file, text) {
  const code = withoutStringsAndComments(text).replace(/^[ \t]*#(?:\\\n|[^\n])*/gm, (match) =>
    match.replace(/[^\n]/g, ' '),
  );
  const open = [];
  let head = 0;
  for (let at = 0; at < code.length; ++at) {
    const letter = code[at];
    if (letter === ';') head = at + 1;
    if (letter === '{') {
      const before = code.slice(head, at).trim();
      const isType =
        /^(?:template\s*<[^{]*>\s*)?(?:typedef\s+)?(?:class|struct|union|enum|namespace|extern)\b/.test(
          before,
        );
      const isFunction = !isType && before.includes(')') && !open.some((block) => block.isFunction);
      open.push({
        isFunction,
        start: head + (code.slice(head, at).length - code.slice(head, at).trimStart().length),
      });
      head = at + 1;
    }
    if (letter === '}') {
      const block = open.pop();
      head = at + 1;
      if (block?.isFunction) measure(file, lineAt(code, block.start), lineAt(code, at));
    }
  }
}

function measure(file, first, last) {
  const lines = last - first + 1;
  if (lines > FUNCTION_LINES_MAX)
    report(file, first, `function of ${lines} lines, at most ${FUNCTION_LINES_MAX}`);
}

function checkScriptFunctions(file, text) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const line = (offset) => source.getLineAndCharacterOfPosition(offset).line + 1;
  const visit = (node) => {
    if (ts.isFunctionLike(node) && node.body) measure(file, line(node.getStart(source)), line(node.end));
    else ts.forEachChild(node, visit);
  };
  ts.forEachChild(source, visit);
}

function checkSizes(file, text) {
  const house = /^(native|lib|tools)\//.test(file);
  if (!house || !(CPP.test(file) || SCRIPT.test(file))) return;
  const lines = text.split('\n').length - 1;
  if (lines > FILE_LINES_MAX)
    report(file, FILE_LINES_MAX + 1, `file of ${lines} lines, at most ${FILE_LINES_MAX}: it has two jobs`);
  if (CPP.test(file)) checkCppFunctions(file, text);
  else checkScriptFunctions(file, text);
}

/** A native header is included by a file other than its own source, or by a compiler's flag; a native source is compiled. */
function checkNativeUse(texts) {
  const included = new Map();
  for (const [file, text] of texts) {
    if (!CPP.test(file) && !file.endsWith('.cu')) continue;
    for (const match of text.matchAll(/^[ \t]*#[ \t]*include[ \t]*"([^"]+)"/gm)) {
      const name = [
        path.posix.join('native', match[1]),
        path.posix.join(path.posix.dirname(file), match[1]),
      ].find((at) => texts.has(at));
      if (name && name.replace(/\.h$/, '') !== file.replace(/\.cpp$/, '')) included.set(name, file);
    }
  }
  const cmake = [...texts]
    .filter(([file]) => /(CMakeLists\.txt|\.cmake)$/.test(file))
    .map(([, text]) => text)
    .join('\n');
  for (const file of texts.keys()) {
    if (!CPP.test(file)) continue;
    const forced = cmake.includes(`-include \${CMAKE_CURRENT_SOURCE_DIR}/${path.posix.basename(file)}`);
    if (file.endsWith('.h') && !included.has(file) && !forced)
      report(file, 1, 'dead file: no other file includes this header');
    const compiled = cmake.includes(`${path.posix.dirname(file)}/*.cpp`) || cmake.includes(file);
    const isTest =
      /^test\/native\/[^/]+_test\.cpp$/.test(file) ||
      (file.startsWith('test/') && cmake.includes(path.posix.basename(file)));
    if (file.endsWith('.cpp') && !compiled && !isTest)
      report(file, 1, 'dead file: no CMake target compiles it');
  }
}

/** Every module of lib/ is reached from the entry points; imports name the built file, so .js means .ts. */
function checkLibraryUse(texts) {
  const entries = ['lib/index.ts', 'lib/index.mts', 'lib/cli/main.ts'];
  const reached = new Set();
  const queue = entries.filter((file) => texts.has(file));
  while (queue.length > 0) {
    const file = queue.pop();
    if (reached.has(file)) continue;
    reached.add(file);
    for (const match of texts
      .get(file)
      .matchAll(
        /(?:\bfrom|\bimport|\brequire\(|\bimport\(|new Worker\(|join\(__dirname,)\s*['"](\.{0,2}\/?[^'"]+)['"]/g,
      )) {
      const target = path.posix.join(path.posix.dirname(file), match[1]);
      const stem = target.replace(/\.[cm]?js$/, '');
      for (const name of [target, `${stem}.ts`, `${stem}.mts`, `${stem}/index.ts`, `${target}.ts`])
        if (texts.has(name)) queue.push(name);
    }
  }
  for (const file of texts.keys()) {
    if (/^lib\/.*\.(ts|mts|cts|json)$/.test(file) && !file.endsWith('.d.ts') && !reached.has(file))
      report(file, 1, 'dead file: no entry point of lib/ reaches it');
  }
}

/** What pytest finds by its name. */
const COLLECTED_BY_PYTEST = /^tools\/.*\/tests\/(?:conftest|test_[^/]+)\.py$/;

/** Tools and shared test files are named by another file: a script, a configuration, a page of documentation. */
function checkToolUse(texts) {
  const named = /^(tools\/.*\.(js|ts|py|cmake|map|sh)|test\/.*\.(ts|mts|js))$/;
  for (const file of texts.keys()) {
    if (!named.test(file) || /\.test\.ts$|^test\/types\//.test(file) || isFixture(file)) continue;
    if (COLLECTED_BY_PYTEST.test(file)) continue;
    const base = path.posix.basename(file);
    const stem = base.replace(/\.[a-z]+$/, '');
    if (['__init__', '__main__', 'index'].includes(stem)) continue;
    const name = new RegExp(`(?<![\\w-])${stem.replace(/[.*+?^$()[\]{}|\\]/g, '\\$&')}(?![\\w-])`);
    const used = [...texts].some(([other, text]) => other !== file && name.test(text));
    if (!used) report(file, 1, 'dead file: nothing names it');
  }
}

function checkFormat(files) {
  const native = files.filter((file) => CPP.test(file));
  const version = spawnSync('clang-format', ['--version'], { encoding: 'utf8' });
  if (version.status !== 0) {
    process.stdout.write('tidy: clang-format is not installed, so the layout of C++ is not checked\n');
    return;
  }
  const { stderr } = spawnSync('clang-format', ['--dry-run', ...native], { cwd: root, encoding: 'utf8' });
  const seen = new Set();
  for (const match of stderr.matchAll(/^(\S+):(\d+):\d+: warning: code should be clang-formatted/gm)) {
    if (!seen.has(match[1])) report(match[1], match[2], 'not clang-formatted');
    seen.add(match[1]);
  }
}

const files = sourceFiles();
for (const file of files) {
  if (fs.lstatSync(path.join(root, file)).isSymbolicLink())
    report(file, 1, 'a link: elsewhere it leads nowhere');
}
const texts = new Map(
  files
    .filter((file) => TEXT.test(file))
    .map((file) => [file, fs.readFileSync(path.join(root, file), 'utf8')]),
);
for (const [file, text] of texts) {
  checkLines(file, text);
  checkHosts(file, text);
  if (CPP.test(file)) checkIncludes(file, text);
  checkSizes(file, text);
}
checkNativeUse(texts);
checkLibraryUse(texts);
checkToolUse(texts);
checkFormat(files);
process.stdout.write(
  `${violations.map((text) => `${text}\n`).join('')}tidy: ${texts.size} files, ${violations.length} violations\n`,
);
process.exitCode = violations.length === 0 ? 0 : 1;
