import assert from 'node:assert/strict';
import { lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemRandom } from '../../base/random.ts';
import { createIndexRepository, putEmpty } from '../../test/harness/index-repository.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import type { BlobId } from '../blob/storage.ts';
import { findRollback, type LastSeen, lastSeenOf, readLastSeen, type Rollback, writeLastSeen } from './last-seen.ts';
import { loadActiveIndexBlobs } from './active-blobs.ts';

const signal = new AbortController().signal;
const FORMATS = [1, 2].map((byte) => new Uint8Array(8).fill(byte));
const [FIRST = new Uint8Array(0), SECOND = new Uint8Array(0)] = FORMATS;
const KEY = new Uint8Array(16).fill(3);

async function look(
  repository: ReturnType<typeof createIndexRepository>,
  format: Uint8Array,
  previous?: LastSeen,
): Promise<{ state: LastSeen; rollback: Rollback | undefined }> {
  const { blobs, snapshot: epochs } = await loadActiveIndexBlobs(repository, signal);
  const seen = { formatBlobBytes: format, epochs, indexBlobIds: blobs.map(({ id }) => id) };
  return {
    state: lastSeenOf(seen, previous),
    rollback: previous === undefined ? undefined : findRollback(previous, seen),
  };
}

test('what grows is no rollback, whatever the clocks say', async () => {
  const repository = createIndexRepository();
  const { storage, clock } = repository;
  await putEmpty(repository, 'xn0_a', 'xe1', 'xn1_b', 'xw1000');
  let { state, rollback } = await look(repository, FIRST);
  const steps: (() => Promise<void>)[] = [
    async () => clock.advance(-86_400_000),
    () => putEmpty(repository, 'xn1_c', 'xn2_d'),
    () => putEmpty(repository, 'xe2', 'xw2000'),
    () => putEmpty(repository, 'xe3'),
    async () => storage.deleteBlob('xn1_b' as BlobId, signal),
    () => putEmpty(repository, 'xs1_e', 'xe4'),
  ];
  for (const [number, step] of steps.entries()) {
    await step();
    ({ state, rollback } = await look(repository, number < 3 ? FIRST : SECOND, state));
    assert.equal(rollback, undefined, `step ${number}`);
  }
});

test('a repository that is older than it was is noticed, by each of the things that never go back', async () => {
  const undo: readonly [Rollback | undefined, string, Uint8Array][] = [
    ['epoch', 'xe3', SECOND],
    ['watermark', 'xw2000', SECOND],
    ['index-blobs', 'xn3_b', SECOND],
    [undefined, 'xn2_x', SECOND],
    ['format', '', FIRST],
  ];
  for (const [expected, lost, format] of undo) {
    const repository = createIndexRepository();
    await putEmpty(repository, 'xe2', 'xe3', 'xw1000', 'xw2000', 'xn2_x', 'xn3_a', 'xn3_b');
    const first = await look(repository, FIRST);
    const second = await look(repository, SECOND, first.state);
    if (lost !== '') await repository.storage.deleteBlob(lost as BlobId, signal);
    assert.equal((await look(repository, format, second.state)).rollback, expected, lost);
  }
});

test('the state is kept under the key of the repository; anything else is no state', async (t) => {
  const folder = memoryFolder(t, 'seen');
  const path = join(folder, 'deep', 'last-seen');
  const { state } = await look(createIndexRepository(), FIRST);
  assert.equal(readLastSeen(path, KEY), undefined);
  writeLastSeen(path, KEY, state, systemRandom);
  assert.deepEqual(readLastSeen(path, KEY), state);
  assert.equal(lstatSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(join(folder, 'deep')), ['last-seen']);
  assert.equal(readLastSeen(path, new Uint8Array(16)), undefined);
  const text = readFileSync(path, 'utf8');
  for (const forged of ['', '\n', text.slice(0, -1), text.replace('"writeEpoch":0', '"writeEpoch":9'), `x${text}`]) {
    writeFileSync(path, forged);
    assert.equal(readLastSeen(path, KEY), undefined, forged);
  }
  assert.throws(() => writeLastSeen(join(path, 'x'), KEY, state, systemRandom));
});
