// Sources that are no directory, progress, and what a backup tells of itself.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';

import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import { BackupFixture, FIXTURE_SOURCE } from '../../test/harness/backup-fixture.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { describeTree, fifo, file, sparseFile, symlink, tree } from '../../test/harness/tree.ts';
import type { BackupProgress } from './progress.ts';
import { backupStream, type StreamOptions } from './stream.ts';

test('a single file is a snapshot whose root is that file', async (t) => {
  const bytes = new SeededRandom(1).bytes(20 << 20);
  const root = tree({
    'large.bin': file(bytes, { mode: 0o640, mtimeNs: 1_600_000_000_000_000_001n }),
    'small.txt': file('small'),
    pipe: fifo(),
    link: symlink('small.txt'),
  }).temporary(t);
  const expected = describeTree(root);
  const fixture = await BackupFixture.create(t);
  for (const name of ['large.bin', 'small.txt']) {
    const { manifest } = await fixture.backUp(join(root, name));
    assert.equal(manifest.rootEntry?.name, name);
    assert.deepEqual((await fixture.describe(manifest))['.'], expected[name]);
    const { summary } = manifest.rootEntry;
    assert.deepEqual([summary?.files, summary?.dirs, summary?.size], [1, 0, expected[name]?.size]);
  }
  const { manifest } = await fixture.backUp(join(root, 'link'));
  assert.equal(manifest.rootEntry?.name, 'small.txt', 'the source itself may be a link');
  await fixture.setPolicy({}, { upload: { parallelUploadAboveSize: 6 << 20 } });
  const parts = await fixture.backUp(join(root, 'large.bin'));
  assert.deepEqual((await fixture.describe(parts.manifest))['.'], expected['large.bin']);
  await assert.rejects(fixture.backUp(join(root, 'pipe')), { code: 'SOURCE_UNREADABLE' });
});

test('progress only grows, and its last word is what happened', async (t) => {
  const random = new SeededRandom(2);
  const root = tree({
    large: file(random.bytes(20 << 20)),
    'a/b': file(random.bytes(100_000)),
    'a/c': file(random.bytes(50_000)),
    link: symlink('large'),
    pipe: fifo(),
    hole: sparseFile(30 << 20),
  }).temporary(t);
  const fixture = await BackupFixture.create(t);
  const seen: BackupProgress[] = [];
  const result = await fixture.backUp(root, { progress: (progress) => seen.push(progress) });
  for (const key of [
    'files',
    'hashedBytes',
    'directories',
    'uploadedBytes',
    'elapsedMs',
    'cachedFiles',
    'cachedBytes',
  ] as const) {
    assert.ok(
      seen.every((one, i) => i === 0 || one[key] >= (seen[i - 1]?.[key] ?? 0)),
      key,
    );
  }
  const last = seen.at(-1);
  assert.ok(last !== undefined);
  const { files, directories, hashedBytes, cachedFiles, errors, estimatedFiles } = last;
  assert.deepEqual(
    { files, directories, hashedBytes, cachedFiles, errors, estimatedFiles },
    {
      files: 6,
      directories: 2,
      hashedBytes: (20 << 20) + 150_000,
      cachedFiles: 0,
      errors: 0,
      estimatedFiles: undefined,
    },
  );
  assert.equal(last.uploadedBytes, result.bytesUploaded);
  const again: BackupProgress[] = [];
  await fixture.backUp(root, { progress: (progress) => again.push(progress) });
  assert.deepEqual(
    [again.at(-1)?.files, again.at(-1)?.cachedFiles, again.at(-1)?.hashedBytes, again.at(-1)?.estimatedFiles],
    [6, 5, 0, 6],
  );
});

test('description, tags and pins are stored as given', async (t) => {
  const root = tree({ file: file('x') }).temporary(t);
  const fixture = await BackupFixture.create(t);
  const { manifest } = await fixture.backUp(root, {
    description: 'why',
    tags: { 'tag:purpose': 'test' },
    pins: ['b', 'a'],
  });
  assert.deepEqual(
    [manifest.description, manifest.tags, [...manifest.pins].sort()],
    ['why', { 'tag:purpose': 'test' }, ['a', 'b']],
  );
  assert.deepEqual(manifest.source, FIXTURE_SOURCE);
  assert.ok(manifest.endTimeNs >= manifest.startTimeNs);
});

function stream(
  fixture: BackupFixture,
  input: StreamOptions['input'],
  more: Partial<StreamOptions> = {},
  signal = new AbortController().signal,
) {
  const deps = { clock: systemClock, random: systemRandom, logger: silentLogger };
  return backupStream(fixture.repository, { name: 'dump.sql', source: FIXTURE_SOURCE, input, ...more }, deps, signal);
}

test('a stream is the only file of its snapshot, whatever its pieces', async (t) => {
  const fixture = await BackupFixture.create(t);
  const bytes = new SeededRandom(9).bytes(10_000_001);
  const { manifest } = await stream(
    fixture,
    Readable.from([bytes.subarray(0, 1), bytes.subarray(1, 9_000_000), bytes.subarray(9_000_000)]),
  );
  const entry = await fixture.entry(manifest, 'dump.sql');
  assert.equal(entry.size, bytes.length);
  assert.deepEqual(
    Buffer.from(await fixture.repository.readObject(entry.objectId as never, t.signal)),
    Buffer.from(bytes),
  );
  const whole = await stream(fixture, Readable.from([bytes]));
  assert.equal((await fixture.entry(whole.manifest, 'dump.sql')).objectId, entry.objectId);
  assert.ok(whole.newContents <= 2, 'nothing but directory and manifest');
  const empty = await stream(fixture, Readable.from([]));
  assert.equal((await fixture.entry(empty.manifest, 'dump.sql')).size, 0);
});

test('a stream that fails leaves no snapshot, and the repository goes on working', async (t) => {
  const fixture = await BackupFixture.create(t);
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(3_000_000, 'x');
    throw Object.assign(new Error('the pipe broke'), { code: 'EPIPE' });
  }
  await assert.rejects(stream(fixture, failing()), { code: 'EPIPE' });
  assert.deepEqual(await fixture.list(), []);
  for (const name of ['', '.', '..', 'a/b', 'a\0b']) {
    await assert.rejects(stream(fixture, Readable.from(['x']), { name }), { code: 'SOURCE_INVALID' });
  }
  await stream(fixture, Readable.from(['fine']));
  assert.equal((await fixture.list()).length, 1);
});

test('a stream that stalls is given up as soon as the run is stopped', async (t) => {
  const fixture = await BackupFixture.create(t);
  const controller = new AbortController();
  let isClosed = false;
  const stalled: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        queueMicrotask(() => controller.abort());
        return new Promise<never>(() => undefined);
      },
      return: () => {
        isClosed = true;
        return Promise.resolve({ done: true, value: undefined });
      },
    }),
  };
  await assert.rejects(stream(fixture, stalled, {}, controller.signal), { name: 'AbortError' });
  assert.ok(isClosed);
  assert.deepEqual(await fixture.list(), []);
});
