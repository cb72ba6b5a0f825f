// Restores and verifications from a store without local files: few requests, several at a time, within a budget of disk and
// memory; the same result as from a folder.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import type { BlobStorage, SnapshotManifest } from '../../repo-format/index.ts';
import { BackupFixture, type FixtureOptions } from '../../test/harness/backup-fixture.ts';
import { type RemoteOptions, RemoteStorage } from '../../test/harness/remote-storage.ts';
import { restore } from '../../test/harness/restore-repository.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { describeTree, file, hardLink, symlink, tree } from '../../test/harness/tree.ts';
import { hasSystemCalls } from '../posix/libc.ts';
import { verifySnapshots } from '../verify/verify.ts';

const skip = hasSystemCalls() ? false : 'needs Linux system calls';
const PACK_BYTES = 10 << 20;

interface Stored {
  readonly root: string;
  readonly folder: string;
  readonly manifest: SnapshotManifest;
}

/** Several packs, of files small and large; the same for all tests, which get copies. */
let made: Promise<Stored> | undefined;
const hooks: (() => void | Promise<void>)[] = [];
after(async () => {
  for (const hook of hooks.toReversed()) await hook();
});

async function stored(t: TestContext): Promise<Stored> {
  const { root, folder, manifest } = await (made ??= make());
  const copy = memoryFolder(t, 'remote');
  cpSync(folder, copy, { recursive: true });
  return { root, folder: copy, manifest };
}

async function make(): Promise<Stored> {
  const owner = { signal: new AbortController().signal, after: (hook: () => void) => void hooks.push(hook) };
  const random = new SeededRandom(3);
  const small = Array.from({ length: 1000 }, (_, i) => [`s${i % 40}/f${i}`, file(random.bytes(12 << 10))] as const);
  const root = tree({
    ...Object.fromEntries(small),
    'large/a': file(random.bytes(14 << 20)),
    'large/again': hardLink('large/a'),
    empty: file(''),
    link: symlink('empty'),
  }).temporary(owner);
  const fixture = await BackupFixture.create(owner, { format: { maxPackSizeBytes: PACK_BYTES } });
  const { manifest } = await fixture.backUp(root);
  await fixture.repository.close();
  return { root, folder: fixture.folder, manifest };
}

async function open(
  t: TestContext,
  { folder }: Stored,
  options: RemoteOptions = {},
  more: FixtureOptions = {},
): Promise<{ fixture: BackupFixture; store: RemoteStorage }> {
  let store: RemoteStorage | undefined;
  const wrapStorage = (storage: BlobStorage): BlobStorage => (store = new RemoteStorage(storage, options));
  // As another machine does, with nothing in its cache.
  rmSync(join(folder, 'local'), { recursive: true, force: true });
  const fixture = await BackupFixture.reopen(t, folder, { wrapStorage, ...more });
  assert.ok(store !== undefined);
  return { fixture, store };
}

function packsOf(folder: string, prefix: string): string[] {
  const root = join(folder, 'repository');
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.startsWith(prefix) && name.endsWith('.f')).map((name) => join(root, name));
}

function dataReads(store: RemoteStorage): number {
  return [...store.reads].reduce((sum, [id, count]) => (id.startsWith('p') ? sum + count : sum), 0);
}

async function verify(fixture: BackupFixture, manifest: SnapshotManifest, percent = 100) {
  const deps = { clock: systemClock, random: systemRandom };
  const options = { manifests: [manifest], percent, parallel: 2 };
  return verifySnapshots(fixture.repository, options, deps, new AbortController().signal);
}

describe('restoring from a store without local files', { skip }, () => {
  test('each pack is read once, and the tree is as from a folder', async (t) => {
    const at = await stored(t);
    const { fixture, store } = await open(t, at);
    const target = join(memoryFolder(t, 'restore'), 'target');
    const receipt = await restore(fixture.repository, at.manifest, { target });
    assert.equal(receipt.failed.count, 0);
    assert.deepEqual(describeTree(target), describeTree(at.root));
    const packs = packsOf(at.folder, 'p').length;
    assert.ok(packs >= 3);
    assert.ok(dataReads(store) <= packs * 1.2, `${dataReads(store)} reads of ${packs} packs`);
    assert.ok(store.requests.get <= packs * 1.2 + 20, `${store.requests.get} reads`);
    const local = await BackupFixture.reopen(t, at.folder);
    const other = await restore(local.repository, at.manifest, { target: `${target}2` });
    // Reading back reads no pack but for the targets of symlinks.
    assert.equal((await restore(fixture.repository, at.manifest, { target, verify: true })).verified?.mismatches, 0);
    const same = ({ startTime: _, endTime: _2, durationMs: _3, target: _4, ...rest }: typeof receipt) => rest;
    assert.deepEqual(same(receipt), same(other));
    await fixture.repository.close();
    assert.deepEqual(readdirSync(join(at.folder, 'local', 'work')), [], 'nothing is left of what was read');
  });

  test('one small file reads a part of one pack', async (t) => {
    const at = await stored(t);
    const { fixture, store } = await open(t, at);
    const target = join(memoryFolder(t, 'restore'), 'target');
    store.reset();
    const receipt = await restore(fixture.repository, at.manifest, { target, subPath: 's7/f47' });
    assert.equal(receipt.restored.files, 1);
    assert.equal(dataReads(store), 1);
    const metadata = packsOf(at.folder, 'q').length;
    assert.ok(store.bytesRead < (metadata + 1) * (1 << 20), `${store.bytesRead} bytes`);
  });

  test('what is there already is not read again', async (t) => {
    const at = await stored(t);
    const { fixture, store } = await open(t, at);
    const target = join(memoryFolder(t, 'restore'), 'target');
    await restore(fixture.repository, at.manifest, { target });
    rmSync(join(target, 's3', 'f3'));
    store.reset();
    const receipt = await restore(fixture.repository, at.manifest, { target });
    assert.equal(receipt.restored.files, 1);
    assert.equal(dataReads(store), 1);
    assert.deepEqual(describeTree(target), describeTree(at.root));
  });

  test('an empty directory with lost+found is as good as none', async (t) => {
    const at = await stored(t);
    const { fixture, store } = await open(t, at);
    const target = join(memoryFolder(t, 'restore'), 'target');
    mkdirSync(join(target, 'lost+found'), { recursive: true });
    assert.equal((await restore(fixture.repository, at.manifest, { target })).failed.count, 0);
    assert.ok(dataReads(store) <= packsOf(at.folder, 'p').length * 1.2);
  });

  test('latency is paid by the pack and in parallel, not by the file', async (t) => {
    const at = await stored(t);
    const { fixture, store } = await open(t, at, { latencyMs: 30 });
    const target = join(memoryFolder(t, 'restore'), 'target');
    store.reset();
    const before = performance.now();
    await restore(fixture.repository, at.manifest, { target });
    t.diagnostic(`${(performance.now() - before).toFixed(0)} ms, ${store.requests.get} reads`);
    assert.ok(store.mostAtOnce >= 2, 'packs come several at a time');
    assert.ok(store.requests.get <= packsOf(at.folder, 'p').length * 1.2 + 20);
  });

  test('a budget smaller than the restore is kept, and what does not fit waits', async (t) => {
    const at = await stored(t);
    const { fixture } = await open(t, at, {}, { partBytes: PACK_BYTES + (4 << 20) });
    const target = join(memoryFolder(t, 'restore'), 'target');
    const work = join(at.folder, 'local', 'work');
    let most = 0;
    const timer = setInterval(() => (most = Math.max(most, diskBytes(work))), 2);
    try {
      assert.equal((await restore(fixture.repository, at.manifest, { target })).failed.count, 0);
    } finally {
      clearInterval(timer);
    }
    assert.deepEqual(describeTree(target), describeTree(at.root));
    t.diagnostic(`${most} bytes at most`);
  });

  test('lost and short packs fail their files only, as in a folder', async (t) => {
    const at = await stored(t);
    const [lost = '', short = ''] = packsOf(at.folder, 'p');
    rmSync(lost);
    truncateSync(short, 5 << 20);
    const receipts = [];
    for (const isRemote of [true, false]) {
      const fixture = isRemote ? (await open(t, at)).fixture : await BackupFixture.reopen(t, at.folder);
      const target = join(memoryFolder(t, 'restore'), 'target');
      const receipt = await restore(fixture.repository, at.manifest, { target });
      receipts.push(receipt.failed.entries.map(({ path, code }) => `${path} ${code}`).sort());
    }
    assert.ok((receipts[0]?.length ?? 0) > 0);
    assert.deepEqual(receipts[0], receipts[1]);
  });

  test('a store that fails ends the restore with its own error, at once', async (t) => {
    const at = await stored(t);
    const { fixture } = await open(t, at, {
      before: (verb, id) => {
        if (verb === 'get' && id.startsWith('p'))
          throw Object.assign(new Error('the store is gone'), { code: 'BLOB_STORE_UNAVAILABLE' });
      },
    });
    const target = join(memoryFolder(t, 'restore'), 'target');
    await assert.rejects(restore(fixture.repository, at.manifest, { target }), { code: 'BLOB_STORE_UNAVAILABLE' });
  });

  test('a stop ends lanes that wait for packs', async (t) => {
    const at = await stored(t);
    const controller = new AbortController();
    const { fixture } = await open(t, at, {
      before: async (verb, id, signal) => {
        if (verb !== 'get' || !id.startsWith('p')) return;
        void setTimeout(100).then(() => controller.abort());
        await setTimeout(60_000, undefined, { signal });
      },
    });
    const target = join(memoryFolder(t, 'restore'), 'target');
    const before = performance.now();
    const run = restore(fixture.repository, at.manifest, { target }, controller.signal);
    await assert.rejects(run, { name: 'AbortError' });
    t.diagnostic(`over in ${(performance.now() - before).toFixed(0)} ms`);
    await fixture.repository.close();
  });

  test('verification reads each pack once, and finds what it finds in a folder', async (t) => {
    const at = await stored(t);
    const { fixture, store } = await open(t, at);
    const whole = await verify(fixture, at.manifest);
    assert.deepEqual(whole.failures, []);
    assert.equal(dataReads(store), packsOf(at.folder, 'p').length);
    store.reset();
    assert.deepEqual((await verify(fixture, at.manifest, 0)).failures, []);
    assert.equal(dataReads(store), 0);
    const [damaged = ''] = packsOf(at.folder, 'p');
    writeFileSync(damaged, Buffer.alloc(PACK_BYTES, 1));
    const local = await BackupFixture.reopen(t, at.folder);
    const failures = async (from: BackupFixture): Promise<string[]> =>
      (await verify(from, at.manifest)).failures.map(({ path, code }) => `${path} ${code}`).sort();
    const expected = await failures(local);
    assert.ok(expected.length > 0);
    assert.deepEqual(await failures((await open(t, at)).fixture), expected);
  });
});

function diskBytes(folder: string): number {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile() && entry.parentPath.includes('parts')).length * PACK_BYTES;
  } catch {
    return 0; // a file went while it was counted
  }
}
