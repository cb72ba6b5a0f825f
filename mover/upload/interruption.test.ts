// Checkpoints, stops, kills and broken lanes: what is safe is kept, what is not complete is never a snapshot.
import { systemClock } from '../../base/clock.ts';
import assert from 'node:assert/strict';
import { closeSync, constants, openSync, readdirSync } from 'node:fs';
import { test, type TestContext } from 'node:test';

import { type BlobStorage, PolicyNode } from '../../repo-format/index.ts';
import { BackupFixture, type FixtureOptions } from '../../test/harness/backup-fixture.ts';
import { childCommand } from '../../test/harness/run-backup-child.ts';
import { runCommand } from '../../test/harness/run-command.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { describeTree, file, tree } from '../../test/harness/tree.ts';
import { PolicyTable } from './directory-policy.ts';
import { LanePool } from './lane-pool.ts';
import type { LaneInit, LaneJob } from './lane-protocol.ts';
import { createProgressMemory } from './progress.ts';

const PACK_BYTES = 10 << 20;
const SMALL_PACKS: FixtureOptions = { format: { maxPackSizeBytes: PACK_BYTES } };

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Enough for several packs, in files large and small. */
function bigTree(t: TestContext): string {
  const random = new SeededRandom(11);
  const small = Array.from({ length: 24 }, (_, i) => [`d${i % 6}/f${i}`, file(random.bytes(2 << 20))] as const);
  return tree({ ...Object.fromEntries(small), large: file(random.bytes(30 << 20)) }).temporary(t);
}

test('checkpoints appear while the backup runs, keep what is done, and go away with it', async (t) => {
  const root = bigTree(t);
  const fixture = await BackupFixture.create(t, SMALL_PACKS);
  const other = await BackupFixture.reopen(t, fixture.folder);
  const seen: { id: string; size: number }[] = [];
  // Slow enough for a few ticks of the clock, each of which finds a checkpoint due.
  let looks: Promise<void> = Promise.resolve();
  const { manifest } = await fixture.backUp(root, {
    parallel: 1,
    compression: 'gzip',
    checkpointIntervalMs: 1,
    progress: () => {
      looks = looks.then(async () => {
        await other.refresh();
        for (const found of await other.list()) {
          if (found.incomplete === undefined) continue;
          assert.equal(found.incomplete, 'checkpoint');
          assert.equal(found.rootEntry?.summary?.incomplete, 'checkpoint');
          // All that it promises can be read.
          await other.assertNowhere(found, 'not in there');
          seen.push({ id: found.id, size: found.rootEntry?.summary?.size ?? 0 });
        }
      });
    },
  });
  await looks;
  assert.ok(seen.length > 0, 'no checkpoint was seen');
  assert.ok(seen.every(({ size }, i) => i === 0 || size >= (seen[i - 1]?.size ?? 0)));
  assert.deepEqual(
    (await fixture.list()).map(({ id }) => id),
    [manifest.id],
  );
  assert.deepEqual(await fixture.describe(manifest), describeTree(root));
});

test('a stop is over within a second, half-writes nothing, and the next run goes on from there', async (t) => {
  const root = bigTree(t);
  const fixture = await BackupFixture.create(t, SMALL_PACKS);
  const before = descriptors();
  const controller = new AbortController();
  let stoppedMs = 0;
  const run = fixture.backUp(root, {
    signal: controller.signal,
    progress: ({ uploadedBytes }) => {
      if (uploadedBytes < PACK_BYTES || controller.signal.aborted) return;
      stoppedMs = performance.now();
      controller.abort();
    },
  });
  await assert.rejects(run, { name: 'AbortError' });
  const tookMs = performance.now() - stoppedMs;
  t.diagnostic(`stopped in ${tookMs.toFixed(0)} ms`);
  assert.deepEqual(await fixture.list(), []);
  await fixture.repository.close();
  assert.deepEqual(fixture.unfinished(), []);
  assert.ok(descriptors() <= before);
  const next = await BackupFixture.reopen(t, fixture.folder, { sameProcess: true });
  const { manifest, resumedPacks, bytesUploaded } = await next.backUp(root);
  assert.ok(resumedPacks > 0);
  const total = manifest.rootEntry?.summary?.size ?? 0;
  assert.ok(bytesUploaded <= total - PACK_BYTES, `${bytesUploaded} of ${total} bytes again`);
  assert.deepEqual(await next.describe(manifest), describeTree(root));
  assert.deepEqual(next.unfinished(), []);
});

test('a run that is stopped before it begins, or while it finishes, stores no snapshot', async (t) => {
  const root = tree({ file: file('x') }).temporary(t);
  const fixture = await BackupFixture.create(t);
  await assert.rejects(fixture.backUp(root, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  const controller = new AbortController();
  const run = fixture.backUp(root, { signal: controller.signal, progress: () => controller.abort() });
  await assert.rejects(run, { name: 'AbortError' });
  assert.deepEqual(await fixture.list(), []);
});

test('a killed backup is taken up where it was', async (t) => {
  const root = bigTree(t);
  const fixture = await BackupFixture.create(t, SMALL_PACKS);
  const killed = await runCommand(childCommand(fixture.folder, root), {
    onStart: (child) => {
      child.stdout?.on('data', (text: Buffer) => {
        // Some packs are stored: some more are half-written at this moment.
        if (/^pack [1-9]/m.test(text.toString())) child.kill('SIGKILL');
      });
    },
  });
  if (killed.signal !== 'SIGKILL') return t.skip('it was done before it could be killed');
  await fixture.refresh();
  assert.deepEqual(await fixture.list(), []);
  const next = await BackupFixture.reopen(t, fixture.folder);
  const { manifest, resumedPacks } = await next.backUp(root);
  assert.ok(resumedPacks > 0);
  assert.deepEqual(await next.describe(manifest), describeTree(root));
  assert.deepEqual(next.unfinished(), [], 'what the dead run was writing is removed');
});

test('a lane that fails fails the backup with its own error, leaves nothing open and no snapshot', async (t) => {
  const root = bigTree(t);
  const fixture = await BackupFixture.create(t, SMALL_PACKS);
  // Something that only the lane finds out, in the middle of its work.
  await fixture.setPolicy({ path: '/data/d3' }, { compression: { compressorName: 'lz4' } });
  await assert.rejects(fixture.backUp(root), { code: 'FORMAT_UNSUPPORTED' });
  assert.deepEqual(await fixture.list(), []);
  // Whether all it had stored was handed over is not known.
  await assert.rejects(fixture.backUp(root));
  await fixture.repository.close();
  assert.deepEqual(fixture.unfinished(), []);
  const next = await BackupFixture.reopen(t, fixture.folder, { sameProcess: true });
  await next.setPolicy({ path: '/data/d3' }, {});
  const { manifest } = await next.backUp(root);
  assert.deepEqual(await next.describe(manifest), describeTree(root));
});

test('a lane that cannot even start fails the pool, which still closes', async () => {
  // Without anything a lane needs.
  const broken = {} as LaneInit;
  const pool = LanePool.start([broken, broken], {
    nextJobs: () => [{} as LaneJob],
    hasJobs: () => true,
    onResult: unexpected,
    onPack: unexpected,
  });
  pool.supply();
  await assert.rejects(pool.idle());
  const rest = await pool.settle(5000, systemClock);
  assert.deepEqual([rest?.tails, rest?.isWhole], [[], false]);
  await pool.close(5000);
});

test('packs that lanes hand over while they are stopped are kept', async (t) => {
  const root = tree({ file: file('kept') }).temporary(t);
  const { repository } = await BackupFixture.create(t);
  const { contents, format } = repository;
  const directoryFd = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  t.after(() => closeSync(directoryFd));
  const init: LaneInit = {
    writer: contents.writerSpec,
    reader: repository.laneReaderData(),
    newContents: contents.known().newContents.data,
    sessionId: await contents.startSession(t.signal),
    options: {
      splitterName: format.config.splitter,
      largeFileBytes: 1 << 24,
      maxRereads: 0,
      forceHashPercent: 0,
      readBytes: 1 << 20,
      packsAreLost: false,
    },
    policies: new PolicyTable(new PolicyNode({}), {
      storedAtRoot: {},
      defaultSplitter: format.config.splitter,
      compression: undefined,
    }).entries,
    control: new SharedArrayBuffer(4),
    progress: createProgressMemory(1),
    laneNumber: 0,
    staging: undefined,
    hints: undefined,
    keepHints: false,
  };
  const job: LaneJob = {
    kind: 'directory',
    id: 1,
    parentFd: directoryFd,
    name: undefined,
    path: '.',
    previous: [],
    primary: undefined,
    mountPath: '',
    parentDevice: 0,
    ignore: [],
    ownIgnore: undefined,
    policyNumber: 0,
    sliceMs: 40,
    mayDescend: true,
    maxOpen: 8,
  };
  const jobs = [job];
  const pool = LanePool.start([init], {
    nextJobs: () => jobs.splice(0),
    hasJobs: () => jobs.length > 0,
    onResult: () => undefined,
    onPack: unexpected,
  });
  pool.supply();
  await pool.idle();
  const interrupted = pool.finishPacks();
  pool.stop(new Error('stopped'));
  await assert.rejects(interrupted, { message: 'stopped' });
  const rest = await pool.settle(5000, systemClock);
  for (const pack of rest?.tails ?? []) contents.acceptTail(pack);
  await pool.close(5000);
  assert.equal(rest?.isWhole, true);
  // The file's content, and its directory.
  assert.equal((await contents.flush(t.signal)).contents, 2);
});

/** Fails every write of a pack after the first `good` ones. */
function failingPacks(good: number): (storage: BlobStorage) => BlobStorage {
  let count = 0;
  return (storage) => {
    const { localFiles } = storage;
    if (localFiles === undefined) return storage;
    const commitStaged: typeof localFiles.commitStaged = async (path, id, signal) => {
      if (id.startsWith('p') && count++ >= good)
        throw Object.assign(new Error('no more room'), { code: 'BLOB_STORE_FULL' });
      return localFiles.commitStaged(path, id, signal);
    };
    const wrapped: typeof localFiles = {
      layout: localFiles.layout,
      pathOf: (id) => localFiles.pathOf(id),
      stagingPathOf: (id) => localFiles.stagingPathOf(id),
      commitStaged,
    };
    return new Proxy(storage, {
      get: (target, key) => {
        if (key === 'localFiles') return wrapped;
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  };
}

test('a pack that cannot be stored fails the backup at once; nothing refers to it, and later runs are whole', async (t) => {
  const root = bigTree(t);
  const fixture = await BackupFixture.create(t, { ...SMALL_PACKS, wrapStorage: failingPacks(1) });
  const before = descriptors();
  await assert.rejects(fixture.backUp(root), { code: 'BLOB_STORE_FULL' });
  assert.ok(descriptors() <= before + 1, 'the journal of the session may be open');
  // Contents of the lost pack count as stored in this session: it must not go on.
  await assert.rejects(fixture.backUp(root));
  await fixture.repository.close();
  const next = await BackupFixture.reopen(t, fixture.folder, { sameProcess: true });
  assert.deepEqual(await next.list(), []);
  const { manifest } = await next.backUp(root);
  assert.deepEqual(await next.describe(manifest), describeTree(root));
  assert.deepEqual(next.unfinished(), []);
});

function unexpected(): never {
  assert.fail('nothing comes from such a lane');
}

test('a checkpoint that somebody else has removed does not fail the backup', async (t) => {
  const root = bigTree(t);
  const fixture = await BackupFixture.create(t, SMALL_PACKS);
  const { manifests } = fixture.repository;
  let removed = 0;
  let removing: Promise<void> = Promise.resolve();
  const { manifest } = await fixture.backUp(root, {
    parallel: 1,
    compression: 'gzip',
    checkpointIntervalMs: 1,
    progress: () => {
      removing = removing.then(async () => {
        for (const { id, incomplete } of await fixture.list()) {
          if (incomplete === undefined) continue;
          await manifests.delete(id, t.signal);
          removed++;
        }
      });
    },
  });
  await removing;
  assert.ok(removed > 0, 'no checkpoint was removed');
  assert.deepEqual(
    (await fixture.list()).map(({ id }) => id),
    [manifest.id],
  );
});
