// The epoch tasks over random index blobs, between writers that go on: whatever task runs, and wherever it is cut off, the
// winning entries stay the same for everybody, also for who still goes by an older list.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomEntries } from '../../test/harness/index-entries.ts';
import {
  createIndexRepository,
  namesIn,
  putIndex,
  REFRESH_MS,
  type IndexRepository,
} from '../../test/harness/index-repository.ts';
import { createFakeRun, planTask, runTask } from '../../test/harness/maintenance-run.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { MOMENTS, StepStorage, type Moment } from '../../test/harness/step-storage.ts';
import { injectedError } from '../../test/harness/faulty-storage.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import { loadActiveIndexBlobs } from '../epoch/active-blobs.ts';
import { sealBlob } from '../epoch/encrypted-blob.ts';
import { loadIndexSet } from '../epoch/load-index.ts';
import { loadEpochSnapshot } from '../epoch/snapshot.ts';
import { compareEntries, type IndexEntry } from '../index/entry.ts';
import { IndexSet, NO_WATERMARK } from '../index/index-set.ts';
import { mergeIndexBlobs } from './compact-indexes.ts';
import { advanceEpochTask } from './epoch-advance.ts';
import { cleanupMarkersTask, deleteSupersededIndexesTask } from './epoch-cleanup.ts';
import { compactSingleEpochTask, generateRangeTask } from './epoch-compaction.ts';
import { indexSource } from './index-source.ts';
import type { MaintenanceRun } from './task.ts';

const signal = new AbortController().signal;
const HOUR_MS = 3600 * 1000;
const TASKS = [
  compactSingleEpochTask,
  advanceEpochTask,
  generateRangeTask,
  cleanupMarkersTask,
  deleteSupersededIndexesTask,
];
// Small numbers, so that many epochs pass in a short test.
const epochParameters = { epochAdvanceOnCountThreshold: 3, fullCheckpointFrequency: 3 };

/** A repository and everything that was ever written to it. */
class World {
  readonly repository = createIndexRepository();
  readonly random: SeededRandom;
  readonly #model = new Map<string, IndexEntry>();
  #blobs = 0;
  /** A writer that looked at the epochs some time ago. */
  #slowWriter = { epoch: 0, atMs: 0 };
  #oldList: { readonly names: readonly BlobId[]; readonly atMs: number } = { names: [], atMs: 0 };

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  get storage(): BlobStorage {
    return this.repository.storage;
  }

  run(storage?: BlobStorage): MaintenanceRun {
    return createFakeRun(this.repository, { epochParameters, ...(storage === undefined ? {} : { storage }) });
  }

  /** A flush by somebody who saw the epochs up to twenty minutes ago. */
  async write(): Promise<void> {
    const { clock } = this.repository;
    if (clock.nowMs() - this.#slowWriter.atMs >= REFRESH_MS || this.random.chance(0.5)) await this.look();
    const entries = randomEntries(this.random, 1 + this.random.below(20), 3, 40);
    for (const entry of entries) {
      const known = this.#model.get(entry.id);
      if (known === undefined || compareEntries(entry, known) > 0) this.#model.set(entry.id, entry);
    }
    await putIndex(this.repository, `xn${this.#slowWriter.epoch}_`, `s${this.#blobs++}-c1`, entries);
  }

  async look(): Promise<void> {
    const { clock } = this.repository;
    const snapshot = await loadEpochSnapshot(this.repository, signal);
    this.#slowWriter = { epoch: snapshot.writeEpoch, atMs: clock.nowMs() };
  }

  async watermark(): Promise<void> {
    const seconds = 1_700_000_000 + this.random.below(3);
    await this.storage.putBlob(`xw${seconds}` as BlobId, new TextEncoder().encode('deletion-watermark'), signal);
  }

  async rememberList(): Promise<void> {
    const { blobs } = await loadActiveIndexBlobs(this.repository, signal);
    this.#oldList = { names: blobs.map(({ id }) => id), atMs: this.repository.clock.nowMs() };
  }

  /** Winners are what they were, the watermark left aside; an old list still works while it is valid. */
  async check(what: string): Promise<void> {
    const { indexSet } = await loadIndexSet(this.repository, signal);
    const found = new Map(
      [...new IndexSet(indexSet.indexes, NO_WATERMARK).iterate()].map((entry) => [entry.id as string, entry]),
    );
    assert.equal(found.size, this.#model.size, what);
    // Equal ranks may differ in the rest: random entries of one pack and second do, real ones never.
    for (const [id, entry] of this.#model) {
      const other = found.get(id);
      assert.ok(other !== undefined && compareEntries(entry, other) === 0, `${what}: ${id}`);
    }
    if (this.repository.clock.nowMs() - this.#oldList.atMs >= REFRESH_MS) return;
    const there = new Set(await namesIn(this.storage));
    for (const name of this.#oldList.names) assert.ok(there.has(name), `${what}: ${name} is gone, and still listed`);
  }
}

async function turn(world: World): Promise<void> {
  const { clock } = world.repository;
  const step = world.random.weighted({ write: 10, wait: 6, task: 12, list: 3, look: 3, watermark: 1 });
  if (step === 'write') await world.write();
  else if (step === 'wait') clock.advance(world.random.pick([1, 10, 60, 300, 900]) * 60_000);
  else if (step === 'list') await world.rememberList();
  else if (step === 'look') await world.look();
  else if (step === 'watermark') await world.watermark();
  else {
    const task = world.random.pick(TASKS);
    await runTask(task, world.run(), signal);
    await world.check(task.name);
  }
}

test('random turns of writers, waits and tasks never change the winners', async () => {
  let ranges = 0;
  for (let seed = 1; seed <= 12; seed++) {
    const world = new World(seed);
    await world.write();
    for (let turns = 0; turns < 250; turns++) await turn(world);
    await world.check(`seed ${seed}`);
    ranges += (await namesIn(world.storage, 'xr')).length;
  }
  assert.ok(ranges > 0, 'some worlds came far enough for ranges');
});

/** Ten epochs with everything to do: an epoch to compact, one to begin, a range, markers and old blobs to delete. */
async function oldWorld(seed: number): Promise<World> {
  const world = new World(seed);
  for (let epoch = 0; epoch < 6; epoch++) {
    for (let blob = 0; blob < 3; blob++) {
      await world.look();
      await world.write();
      world.repository.clock.advance(13 * HOUR_MS);
    }
    await runTask(advanceEpochTask, world.run(), signal);
    await world.watermark();
  }
  await runTask(compactSingleEpochTask, world.run(), signal);
  await runTask(compactSingleEpochTask, world.run(), signal);
  world.repository.clock.advance(6 * HOUR_MS);
  for (let blob = 0; blob < 3; blob++) {
    await world.look();
    await world.write();
    world.repository.clock.advance(13 * HOUR_MS);
  }
  return world;
}

test('each task has something to do in an old repository, says so first, and does just that', async () => {
  const world = await oldWorld(1);
  const expected = {
    'compact-single-epoch': { changed: ['xs'] },
    'advance-epoch': { changed: ['xe'] },
    'generate-epoch-range-index': { changed: ['xr'] },
    'cleanup-epoch-markers': { changed: ['xe', 'xw'] },
    'delete-superseded-epoch-indexes': { changed: ['xn'] },
  } as const;
  for (const task of TASKS) {
    const before = await namesIn(world.storage);
    await planTask(task, world.run(), signal);
    assert.deepEqual(await namesIn(world.storage), before, `${task.name}: planning changes nothing`);
    await runTask(task, world.run(), signal);
    const after = await namesIn(world.storage);
    const changed = new Set(
      [...before.filter((id) => !after.includes(id)), ...after.filter((id) => !before.includes(id))].map((id) =>
        id.slice(0, 2),
      ),
    );
    assert.deepEqual([...changed].sort(), [...expected[task.name as keyof typeof expected].changed], task.name);
    await world.check(task.name);
  }
});

for (const task of TASKS) {
  test(`${task.name}: cut off at each step, everything is still there, and the next run finishes`, async () => {
    for (const moment of MOMENTS) {
      let steps = 0;
      for (let step = 1; ; step++) {
        const world = await oldWorld(step);
        if (!(await cutOff(world, step, moment))) break;
        steps++;
        await world.check(`${moment} step ${step}`);
        await runTask(task, world.run(), signal);
        await world.check(`after ${moment} step ${step}`);
      }
      assert.ok(steps >= 1, `${steps} steps`);
    }
    async function cutOff(world: World, step: number, moment: Moment): Promise<boolean> {
      const storage = new StepStorage(world.storage, {
        methods: ['putBlob', 'deleteBlob', 'listBlobs'],
        step,
        moment,
        act: () => {
          throw injectedError();
        },
      });
      try {
        await runTask(task, world.run(storage), signal);
      } catch (error) {
        if (storage.reached === undefined) throw error;
        return true;
      }
      return storage.reached !== undefined;
    }
  });
}

/** What decides: random entries of one pack and second may differ in the rest. */
function rankOf({ id, timestampSeconds, deleted, packId }: IndexEntry): unknown {
  return { id, timestampSeconds, deleted, packId };
}

async function mergeAll(
  repository: IndexRepository,
  maxShardEntries: number,
): Promise<{ readonly counts: number[]; readonly entries: IndexEntry[] }> {
  const { blobs } = await loadActiveIndexBlobs(repository, signal);
  const counts: number[] = [];
  const out = createIndexRepository();
  const options = { indexVersion: 2 as const, maxShardEntries };
  for await (const { bytes, shardCount } of mergeIndexBlobs(
    blobs,
    indexSource(createFakeRun(repository)),
    options,
    signal,
  )) {
    counts.push(shardCount);
    const sealed = sealBlob(out, 'xn0_', `s${counts.length}-c1`, bytes);
    await out.storage.putBlob(sealed.id, sealed.bytes, signal);
  }
  const { indexSet } = await loadIndexSet(out, signal);
  return { counts, entries: [...indexSet.iterate()] };
}

test('any number of shards holds the same winners, each once, and the count is the number of shards', async () => {
  const repository = createIndexRepository();
  const random = new SeededRandom(4);
  for (let blob = 0; blob < 6; blob++)
    await putIndex(repository, 'xn0_', `s${blob}-c1`, randomEntries(random, 200, 5, 300));
  const { indexSet } = await loadIndexSet(repository, signal);
  const winners = [...indexSet.iterate()];
  for (const maxShardEntries of [10_000, 1200, 500, 7, 1]) {
    const { counts, entries } = await mergeAll(repository, maxShardEntries);
    assert.deepEqual(entries.map(rankOf), winners.map(rankOf), `shards of ${maxShardEntries}`);
    assert.ok(counts.every((count) => count === counts.length));
  }
});

test('without entries nothing is written', async () => {
  const repository = createIndexRepository();
  assert.deepEqual(await mergeAll(repository, 10), { counts: [], entries: [] });
});

test('a list that is too old is not merged by', async () => {
  const world = await oldWorld(3);
  const run = world.run();
  const plan = await planTask(compactSingleEpochTask, run, signal);
  world.repository.clock.advance(REFRESH_MS);
  const before = await namesIn(world.storage);
  await assert.rejects(plan.apply(signal), { code: 'EPOCH_REFRESH_TOO_SLOW' });
  assert.deepEqual(await namesIn(world.storage), before);
});
