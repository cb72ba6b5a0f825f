// The parts of a restore that decide and lay out, without a repository: existing entries, windows, holes, names.
import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { memoryFolder } from '../../test/harness/scratch.ts';
import type { ContentId } from '../../repo-format/index.ts';
import { S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, StatRecord, hasSystemCalls } from '../posix/libc.ts';
import { decodeXattrs, encodeXattrs } from './attributes.ts';
import { encodeName, nameProblem } from './entry-name.ts';
import { decideExisting } from './existing-entry.ts';
import { takeJobs } from './job-order.ts';
import { writeSparse } from './sparse.ts';
import { NO_PACK, PlanWindow, RowKind, WindowBuilder } from './window.ts';

const POLICY = { owners: true, modes: true, times: true, xattrs: true, euid: 0, egid: 0, umask: 0 };
const WANTED = {
  mode: S_IFREG | 0o644,
  uid: 0,
  gid: 0,
  size: 5,
  mtimeSeconds: 100,
  mtimeNanoseconds: 7,
  deviceMajor: 0,
  deviceMinor: 0,
};

function stat(fields: Partial<StatRecord> = {}): StatRecord {
  return Object.assign(
    new StatRecord(),
    { mode: S_IFREG | 0o644, size: 5, mtimeSeconds: 100, mtimeNanoseconds: 7, nlink: 1 },
    fields,
  );
}

describe('what is in the way', () => {
  const cases: readonly [string, Partial<StatRecord>, string, string, string][] = [
    ['the same', {}, 'unchanged', 'unchanged', 'replace'],
    ['another mode', { mode: S_IFREG | 0o600 }, 'kept', 'repair', 'replace'],
    ['another mode, two links', { mode: S_IFREG | 0o600, nlink: 2 }, 'kept', 'replace', 'replace'],
    ['another owner', { uid: 5 }, 'kept', 'repair', 'replace'],
    ['another size', { size: 6 }, 'kept', 'replace', 'replace'],
    ['one nanosecond later', { mtimeNanoseconds: 8 }, 'kept', 'replace', 'replace'],
    ['a link', { mode: S_IFLNK | 0o777 }, 'kept', 'replace', 'replace'],
    ['a FIFO', { mode: S_IFIFO | 0o644, size: 0 }, 'kept', 'replace', 'replace'],
    ['a directory', { mode: S_IFDIR | 0o755 }, 'kept', 'conflict', 'conflict'],
    ['unfinished', { mode: S_IFREG | 0o1600, mtimeSeconds: 5 }, 'replace', 'replace', 'replace'],
    [
      'unfinished, but another user’s',
      { mode: S_IFREG | 0o1600, mtimeSeconds: 5, uid: 9 },
      'kept',
      'replace',
      'replace',
    ],
    [
      'unfinished, but with two links',
      { mode: S_IFREG | 0o1600, mtimeSeconds: 5, nlink: 2 },
      'kept',
      'replace',
      'replace',
    ],
  ];
  for (const [name, fields, never, different, always] of cases) {
    test(name, () => {
      assert.equal(decideExisting(stat(fields), WANTED, 'never', POLICY), never);
      assert.equal(decideExisting(stat(fields), WANTED, 'if-different', POLICY), different);
      assert.equal(decideExisting(stat(fields), WANTED, 'always', POLICY), always);
    });
  }

  test('without times nothing is the same', () => {
    assert.equal(decideExisting(stat(), WANTED, 'if-different', { ...POLICY, times: false }), 'replace');
  });
});

describe('a window', () => {
  const piece = (packId: string, packOffset: number, packedLength: number) => ({
    packId,
    packOffset,
    packedLength,
    length: packedLength,
    objectLength: packedLength,
    compressionId: 0,
    encryptionKeyId: 0,
    flags: 0,
    id: 'aa'.repeat(16) as ContentId,
  });
  const row = {
    kind: RowKind.wholeFile,
    flags: 0,
    dirFd: 3,
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

  test('is worked off by pack and offset, every piece once, one content in one job', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ pack: fc.nat(3), slot: fc.nat(40) }), { minLength: 1, maxLength: 400 }),
        (wanted) => {
          const builder = new WindowBuilder(new PlanWindow({ rows: 512, pieces: 512, arenaBytes: 4096 }));
          builder.reset();
          for (const { pack, slot } of wanted) {
            const at = builder.addRow(row);
            if (slot === 40) builder.addEmptyPiece(at);
            else builder.addPiece(at, 0, piece(`p${pack}`, slot * 1_000_000, 900_000));
          }
          builder.seal();
          const { window: w } = builder;
          const seen: number[] = [];
          const jobOf = new Map<string, number>();
          for (const job of takeJobs(w, { index: 0, count: 1 })) {
            for (let i = w.jobStart[job] ?? 0; i < (w.jobStart[job + 1] ?? 0); i++) {
              const at = w.order[i] ?? 0;
              seen.push(at);
              if (w.piecePack[at] === NO_PACK) continue;
              const key = `${w.piecePack[at]}/${w.pieceOffset[at]}`;
              assert.equal(jobOf.get(key) ?? job, job);
              jobOf.set(key, job);
            }
          }
          const places = seen.map((at) => [Math.min(w.piecePack[at] ?? 0, 99), w.pieceOffset[at] ?? 0] as const);
          for (const [i, [pack, offset]] of places.entries()) {
            const [before = 0, at = 0] = places[i - 1] ?? [];
            assert.ok(pack > before || (pack === before && offset >= at));
          }
          assert.deepEqual(new Set(seen).size, wanted.length);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('says when it is full', () => {
    const builder = new WindowBuilder(new PlanWindow({ rows: 2, pieces: 2, arenaBytes: 64 }));
    builder.reset();
    assert.equal(builder.fits(65), false);
    builder.addEmptyPiece(builder.addRow(row));
    builder.addEmptyPiece(builder.addRow(row));
    assert.equal(builder.fits(0), false);
    builder.reset();
    assert.equal(builder.fits(64), true);
  });
});

test(
  'sparse writing gives the same bytes wherever the zeros are',
  { skip: hasSystemCalls() ? false : 'needs Linux' },
  (t) => {
    const path = join(memoryFolder(t, 'sparse'), 'f');
    const run = fc.record({
      zero: fc.boolean(),
      length: fc.oneof(fc.nat(20_000), fc.constantFrom(4096, 262_144, 300_000)),
    });
    fc.assert(
      fc.property(fc.array(run, { maxLength: 8 }), fc.nat(10_000), (runs, offset) => {
        const bytes = Buffer.concat(runs.map(({ zero, length }) => Buffer.alloc(length, zero ? 0 : 'x')));
        const fd = openSync(path, 'w+');
        ftruncateSync(fd, offset + bytes.length);
        assert.ok(writeSparse(fd, bytes, offset) >= 0);
        closeSync(fd);
        assert.ok(readFileSync(path).subarray(offset).equals(bytes));
      }),
      { numRuns: 60 },
    );
  },
);

test('packed attributes come back', () => {
  const pair = fc.record({
    name: fc.uint8Array({ minLength: 1, maxLength: 255 }),
    value: fc.uint8Array({ maxLength: 500 }),
  });
  fc.assert(
    fc.property(fc.array(pair, { minLength: 1, maxLength: 5 }), (xattrs) => {
      const packed = encodeXattrs(xattrs);
      assert.ok(packed);
      const back = [...decodeXattrs(packed)].map(({ name, value }) => [Buffer.from(name), Buffer.from(value)]);
      assert.deepEqual(
        back,
        xattrs.map(({ name, value }) => [Buffer.from(name), Buffer.from(value)]),
      );
    }),
  );
});

test('names: what one path component cannot be', () => {
  for (const bad of ['', '.', '..', '/', 'a/b', 'a\0', 'x'.repeat(256)])
    assert.notEqual(nameProblem(Buffer.from(bad)), undefined, bad);
  for (const good of ['a', '...', '..a', 'x'.repeat(255), ' ', '\n'])
    assert.equal(nameProblem(Buffer.from(good)), undefined, good);
});

test('names: their bytes are UTF-8, however short they are', () => {
  for (const text of [
    '',
    'a',
    'x'.repeat(64),
    'x'.repeat(65),
    'ä',
    'a\u007f',
    'a\u0080',
    '\u{1f600}',
    '\ud800',
    'a\0b',
  ])
    assert.deepEqual(Buffer.from(encodeName(text)), Buffer.from(new TextEncoder().encode(text)), text);
});
