// Index compaction without epochs: winners stay, inputs and logs go when they are old enough, in an order that never brings
// an index back, wherever it is cut off.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anEntry, randomEntries } from '../../test/harness/index-entries.ts';
import { createIndexRepository, namesIn, putIndex } from '../../test/harness/index-repository.ts';
import { createFakeRun, runTask } from '../../test/harness/maintenance-run.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { MOMENTS, StepStorage } from '../../test/harness/step-storage.ts';
import { injectedError } from '../../test/harness/faulty-storage.ts';
import { loadLegacyActiveBlobs } from '../epoch/legacy.ts';
import { loadIndexSet } from '../epoch/load-index.ts';
import type { ContentId } from '../index/content-id.ts';
import type { BlobStorage } from '../blob/storage.ts';
import { compactLegacyIndexes, indexCompactionTask } from './legacy-compaction.ts';

const signal = new AbortController().signal;
const HOUR_MS = 3600 * 1000;

class Legacy {
  readonly repository = createIndexRepository({ epochs: false });
  readonly random: SeededRandom;
  #blobs = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  async write(blobs: number): Promise<void> {
    for (let blob = 0; blob < blobs; blob++) {
      await putIndex(this.repository, 'n', `s${this.#blobs++}`, randomEntries(this.random, 10, 3, 40));
    }
  }

  run(storage?: BlobStorage) {
    const options = { epochParameters: { enabled: false } };
    return createFakeRun(this.repository, { ...options, ...(storage === undefined ? {} : { storage }) });
  }

  async winners(): Promise<unknown[]> {
    const { indexSet } = await loadIndexSet(this.repository, signal);
    return [...indexSet.iterate()].map(({ id, timestampSeconds, deleted, packId }) => ({
      id,
      timestampSeconds,
      deleted,
      packId,
    }));
  }

  names(prefix: string): Promise<string[]> {
    return namesIn(this.repository.storage, prefix);
  }
}

test('few index blobs stay as they are, more are merged, and the winners are the same', async () => {
  const legacy = new Legacy(1);
  await legacy.write(7);
  assert.equal(await runTask(indexCompactionTask, legacy.run(), signal), null);
  assert.equal((await legacy.names('n')).length, 7);
  await legacy.write(1);
  const before = await legacy.winners();
  const stats = { droppedContentsDeletedBefore: '0001-01-01T00:00:00Z' };
  assert.deepEqual(await runTask(indexCompactionTask, legacy.run(), signal), stats);
  assert.equal((await legacy.names('n')).length, 9, 'inputs stay for who still goes by them');
  assert.equal((await legacy.names('m')).length, 1);
  assert.deepEqual(await legacy.winners(), before);
});

test('an hour later inputs go, then their log, and nothing comes back', async () => {
  const legacy = new Legacy(2);
  const lives: number[][] = [];
  for (let round = 0; round < 12; round++) {
    await legacy.write(8);
    const before = await legacy.winners();
    await runTask(indexCompactionTask, legacy.run(), signal);
    assert.deepEqual(await legacy.winners(), before, `round ${round}`);
    lives.push(await Promise.all(['n', 'm', 'l'].map(async (prefix) => (await legacy.names(prefix)).length)));
    legacy.repository.clock.advance(40 * 60_000);
  }
  for (const [indexes = 0, logs = 0, cleanups = 0] of lives) {
    assert.ok(indexes <= 30 && logs <= 6 && cleanups <= 6, JSON.stringify(lives));
  }
});

test('deleted contents are dropped before a time, and only those', async () => {
  const legacy = new Legacy(3);
  const id = (digit: string): ContentId => digit.repeat(32) as ContentId;
  await putIndex(legacy.repository, 'n', 's1', [
    anEntry({ id: id('1'), timestampSeconds: 5 }),
    anEntry({ id: id('2'), timestampSeconds: 5 }),
  ]);
  await putIndex(legacy.repository, 'n', 's2', [
    anEntry({ id: id('1'), timestampSeconds: 9, deleted: true }),
    anEntry({ id: id('2'), timestampSeconds: 10, deleted: true }),
    anEntry({ id: id('3'), timestampSeconds: 1 }),
  ]);
  const all = await loadLegacyActiveBlobs(legacy.repository, signal);
  const stats = await compactLegacyIndexes(legacy.run(), all, { dropDeletedBeforeSeconds: 10 }, signal);
  assert.deepEqual(stats?.data, { droppedContentsDeletedBefore: '1970-01-01T00:00:10Z' });
  const { indexSet } = await loadIndexSet(legacy.repository, signal);
  assert.deepEqual(
    [...indexSet.iterate()].map((entry) => entry.id),
    [id('2'), id('3')],
  );
});

test('a log whose output is lost retires nothing, however old', async () => {
  const legacy = new Legacy(4);
  await legacy.write(8);
  const before = await legacy.winners();
  const inputs = await legacy.names('n');
  await runTask(indexCompactionTask, legacy.run(), signal);
  const [output] = (await legacy.names('n')).filter((name) => !inputs.includes(name));
  await legacy.repository.storage.deleteBlob(output as never, signal);
  legacy.repository.clock.advance(5 * HOUR_MS);
  await legacy.write(8);
  await runTask(indexCompactionTask, legacy.run(), signal);
  const names = await legacy.names('n');
  assert.ok(inputs.every((name) => names.includes(name)));
  const after = (await legacy.winners()).length;
  assert.ok(after >= before.length);
});

test('cut off at each step, winners stay, and the next run goes on', async () => {
  for (const moment of MOMENTS) {
    for (let step = 1; ; step++) {
      const legacy = new Legacy(step);
      for (let round = 0; round < 4; round++) {
        await legacy.write(8);
        await runTask(indexCompactionTask, legacy.run(), signal);
        legacy.repository.clock.advance(2 * HOUR_MS);
      }
      await legacy.write(8);
      const before = await legacy.winners();
      const storage = new StepStorage(legacy.repository.storage, {
        methods: ['putBlob', 'deleteBlob', 'listBlobs', 'getBlob'],
        step,
        moment,
        act: () => {
          throw injectedError();
        },
      });
      const outcome = await runTask(indexCompactionTask, legacy.run(storage), signal).then(
        () => 'done',
        () => 'failed',
      );
      assert.deepEqual(await legacy.winners(), before, `${moment} step ${step}`);
      await runTask(indexCompactionTask, legacy.run(), signal);
      assert.deepEqual(await legacy.winners(), before, `after ${moment} step ${step}`);
      if (outcome === 'done' && storage.reached === undefined) break;
    }
  }
});
