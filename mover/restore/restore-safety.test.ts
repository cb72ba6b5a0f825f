// No write leaves the target: hostile names, planted links, and an attacker who swaps directories while restoring.
import assert from 'node:assert/strict';
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import {
  type EntryLiteral,
  SIGNAL,
  createTestRepository,
  manifestOf,
  restore,
  snapshotOfEntries,
  storeDirectory,
} from '../../test/harness/restore-repository.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import { hasSystemCalls } from '../posix/libc.ts';

const skip = hasSystemCalls() ? false : 'needs Linux system calls';

/** A folder with a target and, beside it, what must never change. */
function arena(t: TestContext): { target: string; outside: string; assertUntouched: () => void } {
  const folder = memoryFolder(t, 'safety');
  const target = join(folder, 'target');
  const outside = join(folder, 'outside');
  mkdirSync(target);
  mkdirSync(outside);
  writeFileSync(join(outside, 'precious'), 'precious');
  const before = statSync(join(outside, 'precious'));
  const assertUntouched = (): void => {
    assert.deepEqual(readdirSync(outside), ['precious']);
    const after = statSync(join(outside, 'precious'));
    assert.equal(readFileSync(join(outside, 'precious'), 'utf8'), 'precious');
    assert.deepEqual(
      [after.mtimeMs, after.mode, after.uid, after.ctimeMs],
      [before.mtimeMs, before.mode, before.uid, before.ctimeMs],
    );
    assert.deepEqual(readdirSync(folder).sort(), ['outside', 'target']);
  };
  return { target, outside, assertUntouched };
}

describe('hostile names', { skip }, () => {
  const hostile = ['..', '.', '', '../outside/precious', '/etc/passwd', 'a/b', 'nul\0inside', 'x'.repeat(256), '/'];

  test('are refused one by one, and the rest is restored', async (t) => {
    const { target, assertUntouched } = arena(t);
    const repository = await createTestRepository(t);
    const entries: EntryLiteral[] = hostile.map((name) => ({ name, content: 'evil' }));
    const manifest = await snapshotOfEntries(repository, [...entries, { name: 'good', content: 'good' }]);
    const receipt = await restore(repository, manifest, { target });
    assert.equal(receipt.failed.count, hostile.length);
    for (const { code } of receipt.failed.entries) assert.equal(code, 'RESTORE_NAME_UNSAFE');
    assert.deepEqual(readdirSync(target), ['good']);
    assertUntouched();
  });

  test('are refused for directories and symlinks too', async (t) => {
    const { target, assertUntouched } = arena(t);
    const repository = await createTestRepository(t);
    const objectId = await storeDirectory(repository, [{ name: 'precious', content: 'evil' }]);
    const entries: EntryLiteral[] = ['..', '../outside', '/'].flatMap((name) => [
      { name, type: 'd', objectId },
      { name, type: 's', content: '../outside' },
    ]);
    const manifest = await snapshotOfEntries(repository, entries);
    const receipt = await restore(repository, manifest, { target });
    assert.equal(receipt.failed.count, entries.length);
    assert.deepEqual(readdirSync(target), []);
    assertUntouched();
  });

  test('a symlink and a directory of one name: the directory is not entered through the link', async (t) => {
    for (const order of [0, 1]) {
      const { target, assertUntouched } = arena(t);
      const repository = await createTestRepository(t);
      const objectId = await storeDirectory(repository, [{ name: 'precious', content: 'evil' }]);
      const link: EntryLiteral = { name: 'x', type: 's', content: '../outside' };
      const folder: EntryLiteral = { name: 'x', type: 'd', objectId };
      const manifest = await snapshotOfEntries(repository, order === 0 ? [link, folder] : [folder, link]);
      const receipt = await restore(repository, manifest, { target });
      assert.equal(receipt.failed.entries[0]?.code, 'RESTORE_NAME_DUPLICATE');
      assertUntouched();
    }
  });

  test('a name that occurs twice is restored once', async (t) => {
    const { target } = arena(t);
    const repository = await createTestRepository(t);
    const manifest = await snapshotOfEntries(repository, [
      { name: 'a', content: 'first' },
      { name: 'a', content: 'second' },
    ]);
    const receipt = await restore(repository, manifest, { target });
    assert.deepEqual(
      receipt.failed.entries.map(({ code }) => code),
      ['RESTORE_NAME_DUPLICATE'],
    );
    assert.equal(readFileSync(join(target, 'a'), 'utf8'), 'first');
  });
});

describe('hostile snapshots', { skip }, () => {
  test('depth is limited', async (t) => {
    const { target } = arena(t);
    const repository = await createTestRepository(t);
    let objectId = await storeDirectory(repository, [{ name: 'leaf', content: 'x' }]);
    for (let depth = 0; depth < 4200; depth++) {
      objectId = await storeDirectory(repository, [{ name: 'd', type: 'd', objectId }]);
    }
    await repository.flush(SIGNAL);
    const receipt = await restore(repository, manifestOf(objectId), { target });
    assert.deepEqual(
      receipt.failed.entries.map(({ code }) => code),
      ['RESTORE_TOO_DEEP'],
    );
    assert.equal(receipt.restored.directories, 4096);
  });

  test('an object of impossible pieces fails its file only', async (t) => {
    const { target } = arena(t);
    const repository = await createTestRepository(t);
    const small = await repository.writeContent('', new Uint8Array([1, 2, 3]), 'none', SIGNAL);
    const lists = [
      `{"stream":"kopia:indirect","entries":[{"l":9007199254740991,"o":"${small}"}]}`,
      `{"stream":"kopia:indirect","entries":[{"l":3,"o":"${small}"},{"s":5,"l":3,"o":"${small}"}]}`,
      `{"stream":"kopia:indirect","entries":[]}`,
      'not json',
    ];
    const entries: EntryLiteral[] = [{ name: 'good', content: 'x' }];
    for (const [i, text] of lists.entries()) {
      const list = await repository.writeContent('x', Buffer.from(text), 'none', SIGNAL);
      entries.push({ name: `bad${i}`, objectId: `I${list}` as never, size: 2 ** 50 });
    }
    const manifest = await snapshotOfEntries(repository, entries);
    const receipt = await restore(repository, manifest, { target, checkSpace: false });
    assert.equal(receipt.failed.count, lists.length);
    assert.deepEqual(readdirSync(target), ['good']);
  });

  test('a symlink with an absurd or empty target is refused', async (t) => {
    const { target } = arena(t);
    const repository = await createTestRepository(t);
    const manifest = await snapshotOfEntries(repository, [
      { name: 'long', type: 's', content: 'x'.repeat(5000) },
      { name: 'none', type: 's', content: '' },
      { name: 'nul', type: 's', content: 'a\0b' },
    ]);
    const receipt = await restore(repository, manifest, { target });
    assert.equal(receipt.failed.count, 3);
    assert.deepEqual(readdirSync(target), []);
  });

  test('a setuid bit is not given to another owner', { skip: process.geteuid?.() !== 0 && 'needs root' }, async (t) => {
    const { target } = arena(t);
    const repository = await createTestRepository(t);
    const manifest = await snapshotOfEntries(repository, [{ name: 'a', content: 'x', mode: 0o4755, uid: 4711 }]);
    const receipt = await restore(repository, manifest, { target, skip: ['owners'] });
    assert.deepEqual(receipt.attributes, [{ attribute: 'mode', errno: 'EPERM', count: 1, paths: ['a'] }]);
    assert.equal(statSync(join(target, 'a')).mode & 0o7777, 0o755);
  });
});

describe('a prepared target', { skip }, () => {
  test('may itself be a symlink that the user gave', async (t) => {
    const { target } = arena(t);
    const link = join(memoryFolder(t, 'link'), 'link');
    symlinkSync(target, link);
    const repository = await createTestRepository(t);
    await restore(repository, await snapshotOfEntries(repository, [{ name: 'a', content: 'x' }]), { target: link });
    assert.equal(readFileSync(join(target, 'a'), 'utf8'), 'x');
  });

  test('planted symlinks are replaced or refused, never followed', async (t) => {
    const { target, outside, assertUntouched } = arena(t);
    symlinkSync(join(outside, 'precious'), join(target, 'file'));
    symlinkSync(join(outside, 'new'), join(target, 'large'));
    symlinkSync(outside, join(target, 'directory'));
    symlinkSync(join(outside, 'precious'), join(target, 'linked'));
    const repository = await createTestRepository(t);
    const objectId = await storeDirectory(repository, [{ name: 'precious', content: 'evil' }]);
    const piece = await repository.writeContent('', Buffer.alloc(1000, 'e'), 'none', SIGNAL);
    const list = `{"stream":"kopia:indirect","entries":[{"l":1000,"o":"${piece}"},{"s":1000,"l":1000,"o":"${piece}"}]}`;
    const large = `I${await repository.writeContent('x', Buffer.from(list), 'none', SIGNAL)}`;
    const manifest = await snapshotOfEntries(repository, [
      { name: 'directory', type: 'd', objectId },
      { name: 'file', content: 'mine' },
      { name: 'large', objectId: large as never, size: 2000 },
      { name: 'first', content: 'linked', extra: { link: '7' } },
      { name: 'linked', content: 'linked', extra: { link: '7' } },
    ]);
    const receipt = await restore(repository, manifest, { target });
    assert.deepEqual(
      receipt.failed.entries.map(({ path, code }) => [path, code]),
      [['directory', 'EEXIST']],
    );
    assert.equal(readFileSync(join(target, 'file'), 'utf8'), 'mine');
    assert.equal(lstatSync(join(target, 'large')).size, 2000);
    assert.equal(readFileSync(join(target, 'linked'), 'utf8'), 'linked');
    assertUntouched();
    const again = await restore(repository, manifest, { target, deleteExtra: true });
    assert.equal(again.status, 'complete');
    assertUntouched();
  });

  test('a planted hard link is not written or described through', async (t) => {
    const { target, outside, assertUntouched } = arena(t);
    linkSync(join(outside, 'precious'), join(target, 'a'));
    const links = statSync(join(outside, 'precious'));
    const repository = await createTestRepository(t);
    const manifest = await snapshotOfEntries(repository, [
      // The same size and time: only the mode differs, which must not be repaired in place.
      {
        name: 'a',
        content: 'precious',
        mode: 0o666,
        mtimeSeconds: Math.floor(links.mtimeMs / 1000),
        mtimeNanos: Number(statSync(join(outside, 'precious'), { bigint: true }).mtimeNs % 1_000_000_000n),
      },
    ]);
    await restore(repository, manifest, { target });
    const after = statSync(join(outside, 'precious'));
    assert.equal(after.mode, links.mode);
    assert.equal(after.nlink, 1);
    assert.equal(statSync(join(target, 'a')).mode & 0o777, 0o666);
    assert.equal(assertUntouched.length, 0);
  });

  test('FIFOs in the place of files do not make it hang', async (t) => {
    const { target } = arena(t);
    const { AT_FDCWD, S_IFIFO, mknodat } = await import('../posix/libc.ts');
    mknodat(AT_FDCWD, join(target, 'a'), S_IFIFO | 0o600);
    mknodat(AT_FDCWD, join(target, 'd'), S_IFIFO | 0o600);
    const repository = await createTestRepository(t);
    const objectId = await storeDirectory(repository, [{ name: 'x', content: 'x' }]);
    const manifest = await snapshotOfEntries(repository, [
      { name: 'd', type: 'd', objectId },
      { name: 'a', content: 'x' },
    ]);
    const receipt = await restore(repository, manifest, { target });
    assert.equal(readFileSync(join(target, 'a'), 'utf8'), 'x');
    assert.deepEqual(
      receipt.failed.entries.map(({ path }) => path),
      ['d'],
    );
  });
});

// Moves a directory of the target away and puts a symlink to the outside in its place, and back, as fast as it can.
const ATTACKER = `
const { workerData, parentPort } = require('node:worker_threads');
const { renameSync, symlinkSync, unlinkSync } = require('node:fs');
const { names, target, outside, stop } = workerData;
const flag = new Int32Array(stop);
let swaps = 0;
while (Atomics.load(flag, 0) === 0) {
  for (const name of names) {
    const path = target + '/' + name;
    try { renameSync(path, path + '.moved'); } catch { continue; }
    try { symlinkSync(outside, path); swaps++; } catch {}
    for (let i = 0; i < 20; i++) Atomics.load(flag, 0);
    try { unlinkSync(path); } catch {}
    try { renameSync(path + '.moved', path); } catch {}
  }
}
parentPort.postMessage(swaps);
`;

describe('a target under attack', { skip }, () => {
  test('directories swapped for symlinks while restoring lead nowhere', async (t) => {
    const { target, outside, assertUntouched } = arena(t);
    const repository = await createTestRepository(t);
    const names = Array.from({ length: 8 }, (_, i) => `d${i}`);
    const entries: EntryLiteral[] = [];
    for (const name of names) {
      const leaves: EntryLiteral[] = [];
      for (let i = 0; i < 150; i++) leaves.push({ name: `f${i}`, content: `content ${i}` });
      leaves.push({ name: 'l', type: 's', content: 'x' });
      const inner = await storeDirectory(repository, leaves);
      const objectId = await storeDirectory(repository, [{ name: 'inner', type: 'd', objectId: inner }, ...leaves]);
      entries.push({ name, type: 'd', objectId });
    }
    const manifest = await snapshotOfEntries(repository, entries);
    const stop = new SharedArrayBuffer(4);
    const attacker = new Worker(ATTACKER, { eval: true, workerData: { names, target, outside, stop } });
    const swaps = new Promise<number>((resolve) => attacker.once('message', resolve));
    try {
      for (let round = 0; round < 6; round++) {
        const overwrite = round % 2 === 0 ? 'always' : 'if-different';
        await restore(repository, manifest, { target, overwrite, deleteExtra: round % 3 === 2 });
        assertUntouched();
      }
    } finally {
      Atomics.store(new Int32Array(stop), 0, 1);
    }
    assert.ok((await swaps) > 0, 'the attacker never got a chance');
    assertUntouched();
  });
});
