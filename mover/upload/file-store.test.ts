// One file that changes at a known moment of its reading: the progress counter, called for each piece, does the changing.
import assert from 'node:assert/strict';
import { appendFileSync, chmodSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';

import { createSplitter, ObjectWriter, type ChunkSink, type ContentId } from '../../repo-format/index.ts';
import { sparseFile, file, fifo, device, tree, type TreeEntry } from '../../test/harness/tree.ts';
import { AT_FDCWD, close, check, O_DIRECTORY, O_RDONLY, openat, StatRecord, statAt } from '../posix/libc.ts';
import { FileStore, type StoreOutcome } from './file-store.ts';
import { createProgressMemory, LaneProgress } from './progress.ts';

const READ_BYTES = 64 << 10;
const MIB = 1 << 20;

interface Stored {
  readonly outcome: StoreOutcome;
  readonly bytes: Buffer;
  readonly readBytes: number;
}

interface Case {
  readonly maxRereads?: number;
  /** Before the file is opened; it was listed already. */
  readonly afterListing?: (path: string, root: string) => void;
  /** While it is read: after each piece, with the number of bytes read so far. */
  readonly whileReading?: (path: string, readBytes: number) => void;
  readonly part?: { readonly offset: number; readonly length: number | undefined };
  readonly isStopped?: () => boolean;
}

function storeFile(t: TestContext, entry: TreeEntry, how: Case = {}): Stored {
  const root = tree({ file: entry }).temporary(t);
  const path = join(root, 'file');
  const directoryFd = check(openat(AT_FDCWD, root, O_RDONLY | O_DIRECTORY), 'openat', root);
  t.after(() => close(directoryFd));
  const listed = new StatRecord();
  check(statAt(directoryFd, 'file', listed), 'statx', path);
  how.afterListing?.(path, root);
  const pieces: Buffer[] = [];
  const sink: ChunkSink = {
    splitterName: 'FIXED-1M',
    writeContent: (prefix, chunk) => {
      if (prefix === '') pieces.push(Buffer.from(chunk));
      return `${prefix}${String(pieces.length).padStart(32, '0')}` as ContentId;
    },
  };
  const writer = new ObjectWriter(sink, createSplitter('FIXED-1M', READ_BYTES));
  const progress = new LaneProgress(createProgressMemory(1), 0);
  let readBytes = 0;
  progress.read = (count) => {
    readBytes += count;
    how.whileReading?.(path, readBytes);
  };
  const { maxRereads = 2, part, isStopped = () => false } = how;
  const store = new FileStore({ readBytes: READ_BYTES, maxRereads }, { writer, progress, isStopped });
  const outcome = store.store({
    directoryFd,
    name: 'file',
    listed,
    compressor: 'none',
    metadataCompressor: 'none',
    part,
  });
  return { outcome, bytes: Buffer.concat(pieces), readBytes };
}

function once(work: (path: string) => void): (path: string) => void {
  let isDone = false;
  return (path) => {
    if (!isDone) work(path);
    isDone = true;
  };
}

function assertStored(outcome: StoreOutcome, expected: Partial<Extract<StoreOutcome, { kind: 'stored' }>>): void {
  assert.equal(outcome.kind, 'stored');
  for (const [key, value] of Object.entries(expected)) assert.equal(Reflect.get(outcome, key), value, key);
}

test('a file that stands still is read once', (t) => {
  for (const size of [0, 1, READ_BYTES - 1, READ_BYTES, READ_BYTES + 1, 3 * MIB]) {
    const { outcome, bytes, readBytes } = storeFile(t, file(Buffer.alloc(size, 'x')));
    assertStored(outcome, { size, changed: false, rereads: 0, sparse: false });
    assert.deepEqual([bytes.length, readBytes], [size, size]);
  }
});

test('one change costs one more reading, and leaves no mark', (t) => {
  const grow = storeFile(t, file(Buffer.alloc(MIB, 'x')), {
    whileReading: once((path) => appendFileSync(path, 'more')),
  });
  assertStored(grow.outcome, { size: MIB + 4, changed: false, rereads: 1 });
  const cut = storeFile(t, file(Buffer.alloc(MIB, 'x')), { whileReading: once((path) => truncateSync(path, 10)) });
  assertStored(cut.outcome, { size: 10, changed: false, rereads: 1 });
  const touched = storeFile(t, file('x'), { whileReading: once((path) => chmodSync(path, 0o600)) });
  assertStored(touched.outcome, { size: 1, changed: false, rereads: 1 });
  const between = storeFile(t, file('x'), { afterListing: (path) => appendFileSync(path, 'y') });
  assertStored(between.outcome, { size: 2, changed: false, rereads: 1 });
});

test('one that never stands still is stored as it was read at last, and marked', (t) => {
  const { outcome, readBytes } = storeFile(t, file(Buffer.alloc(MIB, 'x')), {
    maxRereads: 3,
    whileReading: (path) => appendFileSync(path, 'z'.repeat(READ_BYTES * 2)),
  });
  assertStored(outcome, { changed: true, rereads: 3 });
  assert.ok(readBytes < 2 ** 10 * MIB, 'what grows faster than it is read has an end');
});

test('a hole that is filled or a file that is cut while it is read gives the file as it is then', (t) => {
  const filled = storeFile(
    t,
    sparseFile(4 * MIB, [
      [0, 'x'],
      [3 * MIB, 'y'],
    ]),
    {
      whileReading: once((path) => writeFileSync(path, 'z'.repeat(4 * MIB))),
    },
  );
  assertStored(filled.outcome, { size: 4 * MIB, changed: false, rereads: 1, sparse: false });
  const cut = storeFile(
    t,
    sparseFile(4 * MIB, [
      [0, 'x'],
      [3 * MIB, 'y'],
    ]),
    { whileReading: once((path) => truncateSync(path, MIB)) },
  );
  assertStored(cut.outcome, { size: MIB, changed: false, rereads: 1, sparse: true });
});

test('parts read what is theirs', (t) => {
  const content = Buffer.alloc(3 * MIB + 5, 'abc');
  const whole = { offset: 2 * MIB, length: undefined };
  for (const part of [
    { offset: 0, length: MIB },
    { offset: MIB, length: MIB },
    whole,
    { offset: 3 * MIB + 5, length: undefined },
  ]) {
    const { outcome, bytes } = storeFile(t, file(content), { part });
    const expected = content.subarray(part.offset, part.length === undefined ? undefined : part.offset + part.length);
    assertStored(outcome, { size: expected.length, changed: false });
    assert.deepEqual(bytes, expected);
  }
});

test('what was put in the place of a listed file is never taken for it', (t) => {
  const gone: readonly ((path: string, root: string) => void)[] = [
    (path) => rmSync(path),
    (path, root) => {
      tree({ outside: file('secret') }).build(root);
      rmSync(path);
      symlinkSync('outside', path);
    },
    (path, root) => {
      tree({ other: file('secret') }).build(root);
      renameSync(join(root, 'other'), path);
    },
    (path, root) => {
      rmSync(path);
      tree({ file: fifo() }).build(root);
    },
  ];
  for (const [i, afterListing] of gone.entries()) {
    assert.deepEqual(storeFile(t, file('mine'), { afterListing }).outcome, { kind: 'vanished' }, `case ${i}`);
  }
});

test('a device that never ends, put in the place of a file, does not hold the lane', (t) => {
  if (process.geteuid?.() !== 0) return t.skip('making devices needs root');
  for (const content of ['', 'x'.repeat(MIB)]) {
    const { outcome, readBytes } = storeFile(t, file(content), {
      afterListing: (path, root) => {
        rmSync(path);
        tree({ file: device('char', 1, 5) }).build(root);
      },
    });
    assert.deepEqual(outcome, { kind: 'vanished' });
    assert.ok(readBytes <= MIB, `${readBytes} bytes of it were read`);
  }
});

test('a lane that is told to stop stops within one piece', (t) => {
  let pieces = 0;
  const { outcome } = storeFile(t, file(Buffer.alloc(4 * MIB)), {
    whileReading: () => pieces++,
    isStopped: () => true,
  });
  assert.deepEqual([outcome, pieces], [{ kind: 'stopped' }, 1]);
});

test('a part that does not give the bytes its file said it has is stored as changed', () => {
  // The kernel's own files say that they are empty and are not: here the reading goes the other way than a short one.
  const directoryFd = check(openat(AT_FDCWD, '/proc', O_RDONLY | O_DIRECTORY), 'openat', '/proc');
  try {
    const listed = new StatRecord();
    check(statAt(directoryFd, 'version', listed), 'statx', '/proc/version');
    const sink: ChunkSink = { splitterName: 'FIXED-1M', writeContent: () => '0'.repeat(32) as ContentId };
    const writer = new ObjectWriter(sink, createSplitter('FIXED-1M', READ_BYTES));
    const progress = new LaneProgress(createProgressMemory(1), 0);
    const store = new FileStore({ readBytes: READ_BYTES, maxRereads: 0 }, { writer, progress, isStopped: () => false });
    const part = { offset: 0, length: undefined };
    const outcome = store.store({
      directoryFd,
      name: 'version',
      listed,
      compressor: 'none',
      metadataCompressor: 'none',
      part,
    });
    assert.equal(outcome.kind === 'stored' && outcome.changed, true);
  } finally {
    close(directoryFd);
  }
});
