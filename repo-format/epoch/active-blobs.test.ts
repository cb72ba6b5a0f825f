import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createFaultyStorage } from '../../test/harness/faulty-storage.ts';
import { createIndexRepository, namesIn, putEmpty, REFRESH_MS } from '../../test/harness/index-repository.ts';
import { NO_WATERMARK } from '../index/index-set.ts';
import { activeBlobsOf, loadActiveIndexBlobs } from './active-blobs.ts';
import { loadEpochSnapshot } from './snapshot.ts';

const signal = new AbortController().signal;

async function activeNames(names: readonly string[]): Promise<string[]> {
  const repository = createIndexRepository();
  await putEmpty(repository, ...names);
  const { blobs } = await loadActiveIndexBlobs(repository, signal);
  return blobs.map((blob) => blob.id).sort();
}

/**
 * The active set by the words of repository format §8.3, one epoch after the other, with names of one fixed form only:
 * no shared code, no shortcuts.
 */
function naiveActive(names: readonly string[]): string[] {
  const numbers = (pattern: RegExp): number[] =>
    names.flatMap((name) => pattern.exec(name)?.slice(1, 2) ?? []).map(Number);
  const W = Math.max(0, ...numbers(/^xe(\d+)$/));
  const complete = (candidates: readonly string[]): string[] | undefined => {
    const sets = new Set(candidates.map((name) => name.split('-')[1]));
    return [...sets]
      .map((set) => candidates.filter((name) => name.split('-')[1] === set))
      .find((members) => members.length === Number(members[0]?.split('-c')[1]));
  };
  const single = (epoch: number): string[] | undefined =>
    complete(names.filter((name) => name.startsWith(`xs${epoch}_`)));
  const ranges: { min: number; max: number; blobs: string[] }[] = [];
  for (let min = 0; min <= 12; min++) {
    for (let max = min; max <= 12; max++) {
      const blobs = complete(names.filter((name) => name.startsWith(`xr${min}_${max}_`)));
      if (blobs !== undefined) ranges.push({ min, max, blobs });
    }
  }
  const chainsFrom = (start: number): { min: number; max: number; blobs: string[] }[][] =>
    ranges
      .filter((range) => range.min === start)
      .flatMap((range) => [[range], ...chainsFrom(range.max + 1).map((rest) => [range, ...rest])]);
  const best = chainsFrom(0)
    .filter((chain) => (chain.at(-1)?.max ?? 0) > 0)
    .sort((a, b) => (b.at(-1)?.max ?? 0) - (a.at(-1)?.max ?? 0) || a.length - b.length)[0];
  let start = 0;
  const result: string[] = [];
  for (const range of best ?? []) {
    if (range.max > start) {
      result.push(...range.blobs);
      start = range.max + 1;
    }
  }
  for (let epoch = start; epoch <= W + 1; epoch++) {
    const settled = epoch <= W - 2 ? single(epoch) : undefined;
    result.push(...(settled ?? names.filter((name) => name.startsWith(`xn${epoch}_`))));
  }
  return result.sort();
}

const epochs = fc.integer({ min: 0, max: 12 });
const setMember = fc.record({
  set: fc.constantFrom('s1', 's2'),
  count: fc.constantFrom(1, 2),
  blob: fc.constantFrom('a', 'b'),
});
const blobNames = fc.oneof(
  epochs.map((epoch) => `xe${epoch + 1}`),
  {
    weight: 3,
    arbitrary: fc
      .record({ epoch: epochs, blob: fc.constantFrom('a', 'b') })
      .map(({ epoch, blob }) => `xn${epoch}_${blob}-s0-c2`),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ epoch: epochs, member: setMember })
      .map(({ epoch, member: m }) => `xs${epoch}_${m.blob}-${m.set}${m.count}-c${m.count}`),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ min: epochs, length: fc.integer({ min: 0, max: 6 }), member: setMember })
      .map(
        ({ min, length, member: m }) =>
          `xr${min}_${Math.min(12, min + length)}_${m.blob}-${m.set}${m.count}-c${m.count}`,
      ),
  },
  fc.constantFrom('xw100', 'xe', 'xefoo', 'xsbad', 'xr1_x_a-s1-c1', 'xnew', 'n0011', 'p0011'),
);

/** Where several sets or chains are equally good, either may be chosen. */
function isAmbiguous(names: readonly string[]): boolean {
  const groups = Map.groupBy(
    names.filter((name) => /^x[sr]/.test(name)),
    (name) => name.replace(/_[ab]-s\d+-c\d$/, ''),
  );
  return [...groups.values()].some(
    (members) => new Set(members.map((name) => name.split('-')[1])).size > 1 || oneBlobSets(members),
  );
}

// `a-s11-c1` and `b-s11-c1`: a set of one blob with two. The first listed is the set.
function oneBlobSets(members: readonly string[]): boolean {
  return members.filter((name) => name.endsWith('-c1')).length > 1;
}

test('the active set is what the rules say, for any set of names', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(blobNames, { maxLength: 40 }), async (names) => {
      fc.pre(!isAmbiguous(names));
      const active = await activeNames(names);
      const expected = naiveActive(names);
      // Chains that reach equally far with equally many ranges are equally good: compare what they cover instead.
      const withoutRanges = (list: readonly string[]): string[] => list.filter((name) => !name.startsWith('xr'));
      assert.deepEqual(withoutRanges(active), withoutRanges(expected));
      assert.equal(
        active.length - withoutRanges(active).length > 0,
        expected.length - withoutRanges(expected).length > 0,
      );
    }),
    { numRuns: 300 },
  );
});

test('an empty repository and one of epoch 0', async () => {
  assert.deepEqual(await activeNames([]), []);
  assert.deepEqual(await activeNames(['xn0_a-s1-c1', 'xn1_b-s1-c1', 'xn2_c-s1-c1']), ['xn0_a-s1-c1', 'xn1_b-s1-c1']);
});

test('compactions of epochs that are not settled do not count yet', async () => {
  const names = ['xe1', 'xe2', 'xn0_a-s-c1', 'xn1_a-s-c1', 'xs0_a-s1-c1', 'xs1_a-s1-c1'];
  assert.deepEqual(await activeNames(names), ['xn1_a-s-c1', 'xs0_a-s1-c1']);
  assert.deepEqual(await activeNames(names.filter((name) => name !== 'xe2')), ['xn0_a-s-c1', 'xn1_a-s-c1']);
});

test('a range of one epoch is ignored, as by kopia', async () => {
  const names = ['xe5', 'xr0_0_a-s1-c1', 'xn0_a-s1-c1', 'xr1_2_a-s1-c1', 'xn1_a-s1-c1'];
  assert.deepEqual(await activeNames(names), ['xr1_2_a-s1-c1']);
});

test('an absurd epoch number costs one listing, not one for each epoch', async (t) => {
  const repository = createIndexRepository();
  await putEmpty(repository, 'xe999999999999999', 'xn3_a-s1-c1', 'xs7_a-s1-c1', 'xn7_a-s1-c1');
  const faulty = createFaultyStorage(t, repository.storage);
  const { blobs, snapshot } = await loadActiveIndexBlobs({ ...repository, storage: faulty.storage }, signal);
  assert.equal(snapshot.writeEpoch, 999_999_999_999_999);
  assert.deepEqual(blobs.map((blob) => blob.id).sort(), ['xn3_a-s1-c1', 'xs7_a-s1-c1']);
  assert.ok(faulty.calls.listBlobs <= 8);
});

test('blobs of an interval of epochs only', async () => {
  const repository = createIndexRepository();
  await putEmpty(repository, 'xe9', ...Array.from({ length: 11 }, (_, epoch) => `xn${epoch}_a-s1-c1`), 'xs3_a-s1-c1');
  const snapshot = await loadEpochSnapshot(repository, signal);
  const blobs = await activeBlobsOf(snapshot, 2, 4, repository.storage, signal);
  assert.deepEqual(blobs.map((blob) => blob.id).sort(), ['xn2_a-s1-c1', 'xn4_a-s1-c1', 'xs3_a-s1-c1']);
});

test('the highest watermark counts, malformed ones do not', async () => {
  const repository = createIndexRepository();
  assert.equal((await loadEpochSnapshot(repository, signal)).watermarkSeconds, NO_WATERMARK);
  await putEmpty(repository, 'xw100', 'xw99', 'xw300x', 'xw', 'xw250');
  assert.equal((await loadEpochSnapshot(repository, signal)).watermarkSeconds, 250);
  assert.equal((await namesIn(repository.storage, 'xw')).length, 5);
});

test('a snapshot is valid from before its listings, and one that took too long is made again', async (t) => {
  const repository = createIndexRepository();
  const { clock } = repository;
  const faulty = createFaultyStorage(t, repository.storage);
  const startMs = clock.nowMs();
  faulty.plan({ method: 'listBlobs', when: 'after', callback: () => clock.advance(1000), times: 1 });
  const snapshot = await loadEpochSnapshot({ ...repository, storage: faulty.storage }, signal);
  assert.equal(snapshot.startedAtMs, startMs);
  assert.equal(snapshot.validUntilMs, startMs + REFRESH_MS);
  const slow = createFaultyStorage(t, repository.storage);
  slow.plan({
    method: 'listBlobs',
    matching: (prefix) => prefix === 'xe',
    callback: () => clock.advance(REFRESH_MS + 1),
    times: 3,
  });
  await loadEpochSnapshot({ ...repository, storage: slow.storage }, signal);
  assert.deepEqual(clock.sleepsMs.map(Math.round), [100, 150, 225]);
});

test('listings that never are in time are an error', async (t) => {
  const repository = createIndexRepository();
  const slow = createFaultyStorage(t, repository.storage);
  slow.plan({
    method: 'listBlobs',
    matching: (prefix) => prefix === 'xs',
    callback: () => repository.clock.advance(REFRESH_MS + 1),
    times: 20,
  });
  await assert.rejects(loadEpochSnapshot({ ...repository, storage: slow.storage }, signal), {
    code: 'EPOCH_REFRESH_TOO_SLOW',
  });
  assert.equal(Math.max(...repository.clock.sleepsMs), 15_000);
});

test('a machine that sleeps while it looks for old blobs starts over', async (t) => {
  const repository = createIndexRepository();
  await putEmpty(repository, 'xe9', 'xn0_a-s1-c1');
  const faulty = createFaultyStorage(t, repository.storage);
  faulty.plan({
    method: 'listBlobs',
    when: 'after',
    matching: (prefix) => prefix === 'xn',
    callback: async () => {
      repository.clock.advance(REFRESH_MS);
      await putEmpty(repository, 'xs0_b-s1-c1');
      await repository.storage.deleteBlob('xn0_a-s1-c1' as never, signal);
    },
  });
  const { blobs } = await loadActiveIndexBlobs({ ...repository, storage: faulty.storage }, signal);
  assert.deepEqual(
    blobs.map((blob) => blob.id),
    ['xs0_b-s1-c1'],
  );
});
