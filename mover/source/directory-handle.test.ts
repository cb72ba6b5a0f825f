import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { hasCode } from '../../base/errors.ts';
import { deepPath, directory, file, tree } from '../../test/harness/tree.ts';
import { StatRecord, check, statAt } from '../posix/libc.ts';
import { type DirectoryHandle, DirectoryHandles } from './directory-handle.ts';

const skip = process.platform !== 'linux' ? 'needs Linux system calls' : false;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function child(handles: DirectoryHandles, parent: DirectoryHandle, name: string): DirectoryHandle {
  const listed = new StatRecord();
  check(statAt(handles.fd(parent), name, listed), 'statx', name);
  return handles.openChild(parent, bytes(name), listed);
}

function hasFile(handles: DirectoryHandles, handle: DirectoryHandle, name: string): boolean {
  return statAt(handles.fd(handle), name, new StatRecord()) === 0;
}

function open(t: TestContext, limit?: number): DirectoryHandles {
  const handles = new DirectoryHandles(limit);
  t.after(() => {
    handles.close();
    assert.equal(handles.openCount, 0);
  });
  return handles;
}

test('a tree thousands of levels deep is walked down and up with few descriptors', { skip }, (t) => {
  const depth = 3000;
  const root = tree({ [`${deepPath('d', depth)}/leaf`]: file('x'), top: file('y') }).temporary(t);
  const handles = open(t, 8);
  const chain = [handles.openRoot(root)];
  for (let i = 0; i < depth; i++) chain.push(child(handles, chain.at(-1) as DirectoryHandle, 'd'));
  assert.ok(handles.openCount <= 8);
  assert.equal(chain.at(-1)?.depth, depth);
  assert.ok(hasFile(handles, chain.at(-1) as DirectoryHandle, 'leaf'));
  for (let handle = chain.pop(); chain.length > 0; handle = chain.pop()) {
    handles.release(handle as DirectoryHandle);
    const above = chain.at(-1) as DirectoryHandle;
    assert.ok(hasFile(handles, above, 'd'));
    assert.ok(handles.openCount <= 8);
  }
});

test('a handle closed to make room is opened again along its path', { skip }, (t) => {
  const root = tree({ 'a/b/c/f': file('x'), 'p/q': directory(), 'r/s': directory() }).temporary(t);
  const handles = open(t, 2);
  const top = handles.openRoot(root);
  const c = ['a', 'b', 'c'].reduce((at, name) => child(handles, at, name), top);
  for (const name of ['p', 'r']) child(handles, top, name);
  assert.ok(handles.openCount <= 2);
  assert.ok(hasFile(handles, c, 'f'));
  assert.equal(handles.pathOf(c, bytes('f')), 'a/b/c/f');
  assert.equal(handles.pathOf(top), '.');
});

test(
  'a directory renamed away stays readable while it is open, and is reported when it must be opened again',
  { skip },
  (t) => {
    const root = tree({ 'a/b/f': file('x'), 'z/f': file('other') }).temporary(t);
    const handles = open(t, 8);
    const a = child(handles, handles.openRoot(root), 'a');
    const b = child(handles, a, 'b');
    renameSync(`${root}/a`, `${root}/elsewhere`);
    mkdirSync(`${root}/a/b`, { recursive: true });
    writeFileSync(`${root}/a/b/trap`, '');
    assert.ok(hasFile(handles, b, 'f'));
    assert.equal(hasFile(handles, b, 'trap'), false);
    handles.release(b);
    handles.release(a);
    assert.throws(
      () => handles.fd(b),
      (error) => hasCode(error, 'DIRECTORY_REPLACED'),
    );
  },
);

test('a symlink or another directory in place of a listed one is refused', { skip }, (t) => {
  const outside = mkdtempSync(path.join(os.tmpdir(), 'windlass-outside-'));
  t.after(() => rmSync(outside, { recursive: true }));
  const root = tree({ a: directory(), b: directory(), c: directory(), d: file('') }).temporary(t);
  const handles = open(t);
  const top = handles.openRoot(root);
  const listed = new StatRecord();
  const swap = (name: string, change: () => void): void => {
    check(statAt(handles.fd(top), name, listed), 'statx', name);
    rmSync(`${root}/${name}`, { recursive: true });
    change();
  };
  const refused = (name: string): void =>
    assert.throws(
      () => handles.openChild(top, bytes(name), listed),
      (error) => hasCode(error, 'DIRECTORY_REPLACED'),
    );
  swap('a', () => symlinkSync(outside, `${root}/a`));
  refused('a');
  check(statAt(handles.fd(top), 'b', listed), 'statx');
  renameSync(`${root}/b`, `${root}/old-b`);
  mkdirSync(`${root}/b`);
  refused('b');
  swap('c', () => writeFileSync(`${root}/c`, ''));
  refused('c');
  swap('d', () => undefined);
  assert.throws(
    () => handles.openChild(top, bytes('d'), listed),
    (error) => hasCode(error, 'ENOENT'),
  );
  assert.equal(handles.openCount, 1);
});

test('a pinned descriptor outlives the need for room, and its release', { skip }, (t) => {
  const root = tree({ 'a/f': file('x'), b: directory(), c: directory(), d: directory() }).temporary(t);
  const handles = open(t, 2);
  const top = handles.openRoot(root);
  const a = child(handles, top, 'a');
  const fd = handles.pin(a);
  for (const name of ['b', 'c', 'd']) child(handles, top, name);
  handles.release(a);
  assert.equal(statAt(fd, 'f', new StatRecord()), 0);
  handles.unpin(a);
  assert.ok(statAt(fd, 'f', new StatRecord()) < 0);
});

test('a root that is missing or no directory is a plain error', { skip }, (t) => {
  const root = tree({ f: file('x') }).temporary(t);
  const handles = open(t);
  assert.throws(
    () => handles.openRoot(`${root}/missing`),
    (error) => hasCode(error, 'ENOENT'),
  );
  assert.throws(
    () => handles.openRoot(`${root}/f`),
    (error) => hasCode(error, 'ENOTDIR'),
  );
});
