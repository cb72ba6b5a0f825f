// Copies out of a store without local files: requests are counted by packs, not by contents.
import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { systemClock } from '../../base/clock.ts';
import type { BlobStorage } from '../../repo-format/index.ts';
import { BackupFixture } from '../../test/harness/backup-fixture.ts';
import { RemoteStorage } from '../../test/harness/remote-storage.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { file, tree } from '../../test/harness/tree.ts';
import { hasSystemCalls } from '../posix/libc.ts';
import { copySnapshots } from './copy.ts';

const skip = hasSystemCalls() ? false : 'needs Linux system calls';
const FILES = 2000;
/** A data pack is asked for a range first and then as a whole; other packs once. */
const READS_OF_A_PACK = 2;

test('a copy reads each pack at most twice, however many contents it has', { skip }, async (t) => {
  const random = new SeededRandom(3);
  const small = Array.from({ length: FILES }, (_, i) => [`s${i % 40}/f${i}`, file(random.bytes(12 << 10))] as const);
  const root = tree(Object.fromEntries(small)).temporary(t);
  const first = await BackupFixture.create(t, { format: { maxPackSizeBytes: 10 << 20 } });
  const { manifest } = await first.backUp(root);
  await first.repository.close();
  rmSync(join(first.folder, 'local'), { recursive: true, force: true });
  let store: RemoteStorage | undefined;
  const wrapStorage = (storage: BlobStorage): BlobStorage => (store = new RemoteStorage(storage));
  const source = await BackupFixture.reopen(t, first.folder, { wrapStorage });
  const target = await BackupFixture.create(t);
  assert.ok(store !== undefined);
  const report = await copySnapshots(
    source.repository,
    target.repository,
    [manifest],
    { clock: systemClock },
    t.signal,
  );
  assert.equal(report.copied.length, 1);
  assert.ok(report.newContents > FILES);
  const names = readdirSync(join(first.folder, 'repository'), { recursive: true, encoding: 'utf8' });
  const packs = names.filter((name) => /^[pq]\/?.*\.f$/.test(name)).length;
  const reads = [...store.reads].filter(([id]) => /^[pq]/.test(id));
  const most = Math.max(...reads.map(([, count]) => count));
  const total = reads.reduce((sum, [, count]) => sum + count, 0);
  t.diagnostic(`${report.newContents} contents, ${packs} packs, ${total} reads, ${most} of one pack at most`);
  assert.ok(packs >= 3);
  assert.ok(most <= READS_OF_A_PACK, `${most} reads of one pack`);
});
