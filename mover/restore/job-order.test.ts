// Which lane works off which jobs of a window: each job once, and lanes far from each other.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ContentId } from '../../repo-format/index.ts';
import { takeJobs } from './job-order.ts';
import { PlanWindow, RowKind, WindowBuilder } from './window.ts';

const MIB = 1 << 20;
const ROW = {
  kind: RowKind.largeFile,
  flags: 0,
  dirFd: -1,
  fd: -1,
  mode: 0,
  uid: 0,
  gid: 0,
  mtimeSeconds: 0,
  mtimeNanoseconds: 0,
  size: 0,
  name: Buffer.from('n'),
  xattrs: undefined,
  deviceMajor: 0,
  deviceMinor: 0,
};

/** A window whose jobs are one piece each. */
function windowOf(jobs: number): PlanWindow {
  const builder = new WindowBuilder(new PlanWindow({ rows: 64, pieces: 64, arenaBytes: 4096 }));
  builder.reset();
  const row = builder.addRow(ROW);
  for (let i = 0; i < jobs; i++) {
    builder.addPiece(row, i * 4 * MIB, {
      packId: 'p1',
      packOffset: i * 4 * MIB,
      packedLength: 4 * MIB,
      length: 4 * MIB,
      objectLength: 4 * MIB,
      compressionId: 0,
      encryptionKeyId: 0,
      flags: 0,
      id: 'aa'.repeat(16) as ContentId,
    });
  }
  builder.seal();
  assert.equal(builder.window.jobCount, jobs);
  return builder.window;
}

describe('the jobs of a window', () => {
  test('two lanes begin in different halves, so that they write different files', () => {
    const window = windowOf(10);
    const first = takeJobs(window, { index: 0, count: 2 });
    const second = takeJobs(window, { index: 1, count: 2 });
    const taken = Array.from({ length: 5 }, () => [first.next().value, second.next().value]);
    assert.deepEqual(taken, [
      [0, 5],
      [1, 6],
      [2, 7],
      [3, 8],
      [4, 9],
    ]);
    assert.deepEqual([first.next().done, second.next().done], [true, true]);
  });

  test('a lane that is through takes what another has not come to, from the far end', () => {
    const window = windowOf(6);
    const slow = takeJobs(window, { index: 0, count: 2 });
    assert.equal(slow.next().value, 0);
    assert.deepEqual([...takeJobs(window, { index: 1, count: 2 })], [3, 4, 5, 2, 1]);
    assert.equal(slow.next().done, true);
  });

  test('every job is taken once, whatever the number of lanes', () => {
    for (const count of [1, 3, 7]) {
      const window = windowOf(5);
      const lanes = Array.from({ length: count }, (_, index) => takeJobs(window, { index, count }));
      const taken: number[] = [];
      for (let open = lanes; open.length > 0;) {
        open = open.filter((lane) => {
          const { value, done } = lane.next();
          if (done !== true) taken.push(value);
          return done !== true;
        });
      }
      assert.deepEqual(
        taken.sort((a, b) => a - b),
        [0, 1, 2, 3, 4],
      );
    }
  });

  test('a window that is filled again has all its jobs again', () => {
    const builder = new WindowBuilder(new PlanWindow({ rows: 4, pieces: 4, arenaBytes: 64 }));
    for (let round = 0; round < 2; round++) {
      builder.reset();
      builder.addEmptyPiece(builder.addRow(ROW));
      builder.seal();
      assert.deepEqual([...takeJobs(builder.window, { index: 0, count: 1 })], [0]);
    }
  });
});
