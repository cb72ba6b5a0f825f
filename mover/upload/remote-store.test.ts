// Backups into a store without local files: packs grow in a folder here, earlier snapshots are read through copies of packs,
// and everything else is as with a folder.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import type { BlobStorage } from '../../repo-format/index.ts';
import { BackupFixture, type FixtureOptions } from '../../test/harness/backup-fixture.ts';
import { type RemoteOptions, RemoteStorage } from '../../test/harness/remote-storage.ts';
import { childCommand } from '../../test/harness/run-backup-child.ts';
import { runCommand } from '../../test/harness/run-command.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { describeTree, file, symlink, tree } from '../../test/harness/tree.ts';
import { listTree } from '../browse/list-tree.ts';
import { rootEntryOf } from '../browse/resolve-path.ts';
import { verifySnapshots } from '../verify/verify.ts';

const PACK_BYTES = 10 << 20;

function remote(options: RemoteOptions = {}): { stores: RemoteStorage[]; options: FixtureOptions } {
  const stores: RemoteStorage[] = [];
  const wrapStorage = (storage: BlobStorage): BlobStorage => {
    const store = new RemoteStorage(storage, options);
    stores.push(store);
    return store;
  };
  return { stores, options: { wrapStorage, format: { maxPackSizeBytes: PACK_BYTES } } };
}

/** Enough for several packs, in files large and small. */
function bigTree(t: TestContext): string {
  const random = new SeededRandom(11);
  const small = Array.from({ length: 12 }, (_, i) => [`d${i % 6}/f${i}`, file(random.bytes(2 << 20))] as const);
  return tree({ ...Object.fromEntries(small), large: file(random.bytes(18 << 20)), link: symlink('large') }).temporary(
    t,
  );
}

function filesBelow(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function failures(t: TestContext, fixture: BackupFixture): Promise<string[]> {
  const manifests = await fixture.list();
  const deps = { clock: systemClock, random: systemRandom };
  const report = await verifySnapshots(fixture.repository, { manifests, parallel: 2 }, deps, t.signal);
  return report.failures.map(({ path, code }) => `${path} ${code}`);
}

test('a snapshot in a store without local files has the object ids of one in a folder, and leaves nothing here', async (t) => {
  const root = bigTree(t);
  const local = await BackupFixture.create(t, { format: { maxPackSizeBytes: PACK_BYTES } });
  const first = await local.backUp(root);
  const { options } = remote();
  const fixture = await BackupFixture.reopen(t, local.folder, options);
  const second = await fixture.backUp(root, { parent: 'none' });
  assert.equal(second.manifest.rootEntry?.objectId, first.manifest.rootEntry?.objectId);
  assert.equal(second.newContents, 1, 'its manifest');
  // From nothing, so that every pack is staged and put.
  const other = remote();
  const fresh = await BackupFixture.create(t, other.options);
  const { manifest } = await fresh.backUp(root);
  assert.deepEqual(await fresh.describe(manifest), describeTree(root));
  assert.deepEqual(await failures(t, fresh), []);
  await fresh.repository.close();
  assert.deepEqual(filesBelow(join(fresh.folder, 'local', 'work')), []);
  assert.deepEqual(readdirSync(join(fresh.folder, 'local', 'work')), []);
});

test('an unchanged tree reads each metadata pack of its previous snapshot once, and none with a warm cache', async (t) => {
  const random = new SeededRandom(5);
  const small = Array.from({ length: 120 }, (_, i) => [`d${i % 60}/f${i}`, file(random.bytes(1 << 10))] as const);
  const root = tree(Object.fromEntries(small)).temporary(t);
  const local = await BackupFixture.create(t);
  await local.backUp(root);
  await local.backUp(root, { parent: 'none' });
  const cold = remote();
  const first = await BackupFixture.reopen(t, local.folder, cold.options);
  const { manifest, newContents } = await first.backUp(root);
  assert.equal(newContents, 1, 'its manifest');
  assert.equal(manifest.stats.cachedFiles, 120);
  const reads = [...(cold.stores[0]?.reads ?? [])].filter(([id]) => /^[pq]/.test(id));
  assert.deepEqual(
    reads.filter(([id, count]) => id.startsWith('p') || count > 1),
    [],
    'no pack is read twice',
  );
  assert.ok(reads.length > 0);
  await first.repository.close();
  const warm = remote();
  const second = await BackupFixture.reopen(t, local.folder, warm.options);
  await second.backUp(root);
  const again = [...(warm.stores[0]?.reads.keys() ?? [])].filter((id) => reads.some(([read]) => read === id));
  assert.deepEqual(again, []);
});

test('a kept pack that is damaged is fetched again', async (t) => {
  const root = tree({ 'a/b': file('x'), 'c/d': file('y') }).temporary(t);
  const local = await BackupFixture.create(t);
  await local.backUp(root);
  const { options } = remote();
  const first = await BackupFixture.reopen(t, local.folder, options);
  const { manifest } = await first.backUp(root, { parent: 'none' });
  await first.repository.close();
  for (const damage of ['cut', 'flipped'] as const) {
    const kept = filesBelow(join(local.folder, 'local', 'packs'));
    assert.ok(kept.length > 0);
    for (const path of kept) {
      if (damage === 'cut') truncateSync(path, 40);
      else writeFileSync(path, Buffer.alloc(100_000, 7));
    }
    const next = await BackupFixture.reopen(t, local.folder, remote().options);
    const { newContents, manifest: again } = await next.backUp(root);
    assert.equal(again.rootEntry?.objectId, manifest.rootEntry?.objectId);
    assert.equal(newContents, 1, 'nothing but a manifest');
    assert.equal(again.stats.cachedFiles, 2, 'the previous directories were read');
    await next.repository.close();
  }
});

test('a killed backup into a store without local files is taken up where it was, and its staging files go', async (t) => {
  const root = bigTree(t);
  const { options } = remote();
  const fixture = await BackupFixture.create(t, options);
  const killed = await runCommand(childCommand(fixture.folder, root, {}, 'held'), {
    onStart: (child) => {
      child.stdout?.on('data', (text: Buffer) => {
        // One pack is stored, the next has its file here and waits for the store.
        if (/^held/m.test(text.toString())) child.kill('SIGKILL');
      });
    },
  });
  assert.equal(killed.signal, 'SIGKILL', killed.stderr);
  const left = filesBelow(join(fixture.folder, 'local', 'work'));
  assert.ok(left.length > 0, 'packs were growing');
  const next = await BackupFixture.reopen(t, fixture.folder, remote().options);
  assert.deepEqual(
    left.filter((path) => existsSync(path)),
    [],
    'what the dead run was writing is removed',
  );
  const { manifest, resumedPacks } = await next.backUp(root);
  assert.ok(resumedPacks > 0);
  assert.deepEqual(await next.describe(manifest), describeTree(root));
  assert.deepEqual(await failures(t, next), []);
});

test('lost packs are found and stored again', async (t) => {
  const root = bigTree(t);
  const { options } = remote();
  const fixture = await BackupFixture.create(t, options);
  const { manifest } = await fixture.backUp(root);
  await fixture.repository.close();
  const packs = filesBelow(join(fixture.folder, 'repository')).filter((path) => path.includes('repository/p/'));
  rmSync(packs[0] ?? '');
  const next = await BackupFixture.reopen(t, fixture.folder, remote().options);
  assert.notDeepEqual(await failures(t, next), []);
  const second = await next.backUp(root);
  assert.ok(second.newContents > 1);
  assert.equal(second.manifest.rootEntry?.objectId, manifest.rootEntry?.objectId);
  assert.deepEqual(await failures(t, next), []);
});

test('packs are put several at a time', async (t) => {
  const { stores, options } = remote({ latencyMs: 30 });
  const fixture = await BackupFixture.create(t, options);
  stores[0]?.reset();
  await fixture.backUp(bigTree(t));
  assert.ok((stores[0]?.mostAtOnce ?? 0) >= 2, `${stores[0]?.mostAtOnce} at once`);
});

test('a put that fails fails the backup; nothing is acknowledged, and later runs are whole', async (t) => {
  const root = bigTree(t);
  let puts = 0;
  const { options } = remote({
    before: (verb, id) => {
      if (verb === 'put' && id.startsWith('p') && puts++ === 1)
        throw Object.assign(new Error('refused'), { code: 'BLOB_ACCESS_DENIED' });
    },
  });
  const fixture = await BackupFixture.create(t, options);
  await assert.rejects(fixture.backUp(root), { code: 'BLOB_ACCESS_DENIED' });
  await assert.rejects(fixture.backUp(root));
  await fixture.repository.close();
  const next = await BackupFixture.reopen(t, fixture.folder, { ...remote().options, sameProcess: true });
  assert.deepEqual(await next.list(), []);
  const { manifest } = await next.backUp(root);
  assert.deepEqual(await next.describe(manifest), describeTree(root));
});

test('a stop ends a lane that waits for a pack', async (t) => {
  const root = tree({ 'a/b': file('x'), 'c/d': file('y') }).temporary(t);
  const local = await BackupFixture.create(t);
  await local.backUp(root);
  const controller = new AbortController();
  let isStuck = false;
  const { options } = remote({
    before: async (verb, id, signal) => {
      // The root's directory is read by the lane; manifests come before it.
      if (verb !== 'get' || !id.startsWith('q') || !isStuck) return;
      controller.abort();
      await setTimeout(60_000, undefined, { signal });
    },
  });
  const fixture = await BackupFixture.reopen(t, local.folder, options);
  await fixture.list();
  // What was kept for the manifests would serve the lane too.
  rmSync(join(local.folder, 'local'), { recursive: true, force: true });
  isStuck = true;
  const before = performance.now();
  await assert.rejects(fixture.backUp(root, { signal: controller.signal }), { name: 'AbortError' });
  t.diagnostic(`stopped in ${(performance.now() - before).toFixed(0)} ms`);
});

test('a walk over a snapshot reads each of its metadata packs once', async (t) => {
  const directories = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`d${i}/e/f`, file(`${i}`)] as const));
  const root = tree(directories).temporary(t);
  const local = await BackupFixture.create(t);
  await local.backUp(root);
  const { stores, options } = remote({ latencyMs: 5 });
  const fixture = await BackupFixture.reopen(t, local.folder, options);
  const [manifest] = await fixture.list();
  assert.ok(manifest !== undefined);
  let entries = 0;
  const start = { entry: rootEntryOf(manifest), path: '' };
  for await (const _ of listTree(fixture.repository, start, { recursive: true }, t.signal)) entries++;
  assert.equal(entries, 180);
  const reads = [...(stores[0]?.reads ?? [])].filter(([id]) => /^[pq]/.test(id));
  assert.ok(reads.length > 0);
  assert.ok(
    reads.every(([id, count]) => id.startsWith('q') && count === 1),
    JSON.stringify(reads),
  );
});
