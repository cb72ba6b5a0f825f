import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import {
  directory,
  fifo,
  file,
  nameText,
  rawName,
  removeTree,
  socket,
  symlink,
  tree,
} from '../../test/harness/tree.ts';
import * as libc from '../posix/libc.ts';
import { DirectoryReader, StatRecord, readDirectory, statEntry } from './directory-reader.ts';
import { FILE_REPLACED, openFileAt } from './file-opener.ts';

const skip = process.platform !== 'linux' ? 'needs Linux system calls' : false;

function openDirectory(t: TestContext, root: string): number {
  const fd = libc.check(libc.openat(libc.AT_FDCWD, root, libc.O_RDONLY | libc.O_DIRECTORY), 'openat', root);
  t.after(() => libc.close(fd));
  return fd;
}

test('a listing has every name as bytes, with its type, and not the two dots', { skip }, (t) => {
  const entries = {
    f: file('x'),
    d: directory(),
    s: symlink('f'),
    p: fifo(),
    k: socket(),
    '.hidden': file(''),
    '...': file(''),
    [rawName('bad', 0xff)]: file(''),
    ...Object.fromEntries(Array.from({ length: 9 }, (_, i) => ['n'.repeat(i + 1), file('')])),
    ['x'.repeat(255)]: file(''),
  };
  const fd = openDirectory(t, tree(entries).temporary(t));
  const found = new Map<string, number>();
  assert.equal(
    readDirectory(fd, (bytes, start, end, type) => found.set(nameText(bytes.slice(start, end)), type)),
    0,
  );
  assert.deepEqual([...found.keys()].sort(), Object.keys(entries).sort());
  const types = { f: libc.DT_REG, d: libc.DT_DIR, s: libc.DT_LNK, p: libc.DT_FIFO, k: libc.DT_SOCK };
  for (const [name, type] of Object.entries(types)) assert.ok([type, libc.DT_UNKNOWN].includes(found.get(name) ?? -1));
});

test('entries are read and stat-ed over many batches', { skip }, (t) => {
  const names = Array.from({ length: 300 }, (_, i) => `entry-${i}`);
  const fd = openDirectory(
    t,
    tree(Object.fromEntries(names.map((name, i) => [name, file('x'.repeat(i))]))).temporary(t),
  );
  const reader = new DirectoryReader(1024);
  const sizes = new Map<string, number>();
  const stat = new StatRecord();
  let batches = 0;
  reader.begin(fd);
  for (let count = reader.next(); count !== 0; count = reader.next()) {
    assert.ok(count > 0);
    batches++;
    for (let i = 0; i < count; i++) {
      assert.equal(reader.stat(i, stat), 0);
      sizes.set(nameText(reader.name(i)), stat.size);
    }
  }
  assert.ok(batches > 5);
  assert.deepEqual(
    [...sizes].sort((a, b) => a[1] - b[1]),
    names.map((name, i) => [name, i]),
  );
});

test('a listing inside a listing has a reader of its own', { skip }, (t) => {
  const root = tree({ 'a/1': file(''), 'a/2': file(''), 'b/3': file('') }).temporary(t);
  const fd = openDirectory(t, root);
  const seen: string[] = [];
  readDirectory(fd, (bytes, start, end) => {
    const name = nameText(bytes.slice(start, end));
    const inner = openDirectory(t, `${root}/${name}`);
    readDirectory(inner, (b, s, e) => seen.push(`${name}/${nameText(b.slice(s, e))}`));
  });
  assert.deepEqual(seen.sort(), ['a/1', 'a/2', 'b/3']);
});

test('an empty directory, a removed one and a file are told apart', { skip }, (t) => {
  const root = tree({ empty: directory(), gone: directory(), f: file('x') }).temporary(t);
  const sink = (): never => assert.fail('no entry expected');
  assert.equal(readDirectory(openDirectory(t, `${root}/empty`), sink), 0);
  const gone = openDirectory(t, `${root}/gone`);
  rmSync(`${root}/gone`, { recursive: true });
  assert.ok([0, -libc.ENOENT].includes(readDirectory(gone, sink)));
  const f = libc.openat(libc.AT_FDCWD, `${root}/f`, libc.O_RDONLY);
  assert.equal(readDirectory(f, sink), -libc.ENOTDIR);
  libc.close(f);
  assert.equal(statEntry(openDirectory(t, root), 'missing', new StatRecord()), -libc.ENOENT);
});

test('only the listed regular file is opened', { skip }, (t) => {
  const root = mkdtempSync(path.join(os.tmpdir(), 'windlass-open-'));
  t.after(() => removeTree(root));
  const dirFd = openDirectory(t, root);
  const [listed, opened] = [new StatRecord(), new StatRecord()];
  writeFileSync(`${root}/f`, 'content');
  const list = (): void => assert.equal(statEntry(dirFd, 'f', listed), 0);

  list();
  const fd = openFileAt(dirFd, 'f', listed, opened);
  assert.ok(fd >= 0 && libc.sameVersion(listed, opened));
  assert.equal(libc.readInto(fd, new Uint8Array(7), 0, 7, 0), 7);
  libc.close(fd);
  const replacements: readonly (readonly [string, () => void])[] = [
    ['another file', () => renameSync(`${root}/other`, `${root}/f`)],
    ['a symlink', () => symlinkSync('other', `${root}/f`)],
    ['a directory', () => mkdirSync(`${root}/f`)],
    ['a FIFO nobody writes to', () => libc.check(libc.mknodat(dirFd, 'f', libc.S_IFIFO | 0o600), 'mknodat')],
    ['a socket', () => libc.check(libc.mknodat(dirFd, 'f', libc.S_IFSOCK | 0o600), 'mknodat')],
  ];
  for (const [what, replace] of replacements) {
    rmSync(`${root}/f`, { recursive: true, force: true });
    writeFileSync(`${root}/f`, 'first');
    writeFileSync(`${root}/other`, 'second');
    list();
    libc.check(libc.unlinkat(dirFd, 'f'), 'unlinkat');
    replace();
    assert.equal(openFileAt(dirFd, 'f', listed, opened), FILE_REPLACED, what);
  }
  rmSync(`${root}/f`, { recursive: true });
  assert.equal(openFileAt(dirFd, 'f', listed, opened), -libc.ENOENT);
});

test('reading leaves the access time alone', { skip }, (t) => {
  const root = tree({ f: file('content') }).temporary(t);
  const dirFd = openDirectory(t, root);
  utimesSync(`${root}/f`, 1, 2);
  const [listed, opened] = [new StatRecord(), new StatRecord()];
  statEntry(dirFd, 'f', listed);
  const fd = openFileAt(dirFd, 'f', listed, opened);
  libc.readInto(fd, new Uint8Array(7), 0, 7, 0);
  libc.close(fd);
  assert.equal(statSync(`${root}/f`).atimeMs, 1000);
});

test('where there are no Linux calls, importing works and every call says so', async () => {
  const module = new URL('../posix/libc.ts', import.meta.url).href;
  const code = `
    Object.defineProperty(process, 'platform', { value: 'darwin' });
    const { parentPort } = require('node:worker_threads');
    import(${JSON.stringify(module)}).then((libc) => {
      const codes = [() => libc.openat(-100, '/', 0), () => libc.statAt(-100, '/', new libc.StatRecord())].map((call) => {
        try { call(); return 'worked'; } catch (error) { return error.code; }
      });
      parentPort.postMessage([libc.hasSystemCalls(), ...codes]);
    });`;
  const answer = await new Promise((resolve, reject) => {
    const worker = new Worker(code, { eval: true });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  assert.deepEqual(answer, [false, 'SYSCALL_UNSUPPORTED', 'SYSCALL_UNSUPPORTED']);
});
