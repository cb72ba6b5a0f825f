import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../base/errors.ts';
import { MAX_TIMESTAMP_NS, MIN_TIMESTAMP_NS, toNs } from '../../base/go-time.ts';
import { parseObjectId } from '../object/object-id.ts';
import {
  type EntryFields,
  createEntry,
  createEntryAtNs,
  encodeEntry,
  formatMode,
  parseEntry,
  parseMode,
} from './directory-entry.ts';
import { encodeDirectory, parseDirectory } from './directory-object.ts';
import type { DirectoryExtra, EntryExtra } from './extra.ts';
import { PreviousDirectory } from './previous-directory.ts';
import { type DirectorySummary, SummaryBuilder, encodeSummary, parseSummary } from './summary.ts';

const OBJECT_ID = parseObjectId('00112233445566778899aabbccddeeff');

const FILE: EntryFields = {
  name: 'a',
  type: 'f',
  mode: 0o644,
  size: 3,
  mtimeSeconds: 1700000000,
  mtimeNanos: 120_000_000,
  uid: 0,
  gid: 0,
  objectId: OBJECT_ID,
};

const SUMMARY: DirectorySummary = { size: 3, files: 1, symlinks: 0, dirs: 1, maxTimeNs: 0n, numFailed: 0 };

function directoryOf(entries: readonly EntryFields[], extra?: DirectoryExtra): Uint8Array {
  return encodeDirectory({ dirEntryTexts: [], otherEntryTexts: entries.map(encodeEntry), summary: SUMMARY, extra });
}

test('modes keep the special bits where Go has them', () => {
  assert.equal(formatMode(0o644), '0644');
  assert.equal(formatMode(0o1777), '04000777');
  assert.equal(formatMode(0o4755), '040000755');
  assert.equal(formatMode(0o2755), '020000755');
  for (let mode = 1; mode <= 0o7777; mode++) assert.equal(parseMode(formatMode(mode)), mode);
  assert.equal(parseMode('420'), 0o644);
  assert.equal(parseMode('0x1a4'), 0o644);
  for (const text of ['', '0o', '08', 'rw', '1e3', '0644 ', '99999999999', '0'.repeat(100)]) {
    assert.equal(parseMode(text), undefined, text);
  }
});

test('a time that int64 cannot hold is clamped for kopia and exact for us', () => {
  for (const [seconds, clamped] of [
    [99_999_999_999, MAX_TIMESTAMP_NS],
    [-99_999_999_999, MIN_TIMESTAMP_NS],
  ] as const) {
    const text = encodeEntry({ ...FILE, mtimeSeconds: seconds, mtimeNanos: 5 });
    assert.match(text, new RegExp(`"windlass":\\{"mtime":"${seconds}\\.000000005"\\}\\}$`));
    const parsed = parseEntry(JSON.parse(text));
    assert.ok(typeof parsed !== 'string');
    assert.equal(parsed.mtimeNs, toNs(seconds, 5));
    const plain = parseEntry({ ...(JSON.parse(text) as object), windlass: undefined });
    assert.ok(typeof plain !== 'string');
    assert.equal(plain.mtimeNs, clamped);
  }
});

test("a directory's own impossible time is in its own object", () => {
  const bytes = encodeDirectory({
    dirEntryTexts: [],
    otherEntryTexts: [],
    summary: SUMMARY,
    mtimeSeconds: 99_999_999_999,
    mtimeNanos: 7,
  });
  assert.deepEqual(parseDirectory(bytes).exactTime, { seconds: 99_999_999_999, nanos: 7 });
  const entry = encodeEntry({ ...FILE, type: 'd', mtimeSeconds: 99_999_999_999, mtimeNanos: 7 });
  assert.ok(!entry.includes('windlass'));
});

const bytesOf = (max: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength: max });
const rawName = fc
  .uint8Array({ minLength: 1, maxLength: 20 })
  .map((bytes) => bytes.map((byte) => (byte === 0 || byte === 0x2f || byte === 0x2e ? 0xff : byte)));
const xattrs = fc.uniqueArray(
  fc.record(
    { name: fc.uint8Array({ min: 1, minLength: 1, maxLength: 9 }), value: bytesOf(9) },
    { noNullPrototype: true },
  ),
  { selector: ({ name }) => Buffer.from(name).toString('hex'), minLength: 1, maxLength: 4 },
);
const entryExtra: fc.Arbitrary<EntryExtra> = fc.record(
  {
    rawName,
    special: fc.record(
      { type: fc.constantFrom('char' as const, 'block' as const), major: fc.nat(4095), minor: fc.nat(1048575) },
      { noNullPrototype: true },
    ),
    link: fc.string({ minLength: 1 }),
    sparse: fc.constant(true),
    changed: fc.constant(true),
    xattrs,
  },
  { requiredKeys: [], noNullPrototype: true },
);

function sortedXattrs<T extends EntryExtra | DirectoryExtra>(extra: T): T {
  if (extra.xattrs === undefined) return extra;
  return { ...extra, xattrs: [...extra.xattrs].sort((a, b) => Buffer.compare(a.name, b.name)) };
}

test('entries read back, with whatever extra they carry', () => {
  fc.assert(
    fc.property(
      fc.record({
        name: fc.string({ unit: 'grapheme', minLength: 1 }),
        mode: fc.nat(0o7777),
        size: fc.maxSafeNat(),
        mtimeSeconds: fc.integer({ min: -1e12, max: 1e12 }),
        mtimeNanos: fc.nat(999_999_999),
        uid: fc.nat(0xffffffff),
        gid: fc.nat(0xffffffff),
      }),
      fc.option(entryExtra, { nil: undefined }),
      (fields, extra) => {
        const text = encodeEntry({ ...fields, type: 'f', objectId: OBJECT_ID, extra });
        const parsed = parseEntry(JSON.parse(text));
        assert.ok(typeof parsed !== 'string', text);
        const { summary, extra: parsedExtra, ...rest } = { ...parsed };
        assert.deepEqual(rest, { ...fields, type: 'f', objectId: OBJECT_ID });
        assert.equal(summary, undefined);
        // An exact time alone leaves an extra without members.
        assert.deepEqual(parsedExtra ?? {}, sortedXattrs({ ...extra }));
      },
    ),
  );
});

test('the extra member is last, in a fixed order, and absent when there is nothing to say', () => {
  const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));
  const extra: EntryExtra = {
    changed: true,
    xattrs: [
      { name: bytes('user.b'), value: bytes('2') },
      { name: bytes('user.\xff'), value: bytes('') },
      { name: bytes('user.a'), value: bytes('1') },
    ],
    sparse: true,
    link: '12@mnt',
    special: { type: 'char', major: 1, minor: 3 },
    rawName: bytes('\xff'),
  };
  const prefix =
    '{"name":"a","type":"f","mode":"0644","size":3,"mtime":"2023-11-14T22:13:20.12Z","obj":"00112233445566778899aabbccddeeff"';
  assert.equal(
    encodeEntry({ ...FILE, extra }),
    `${prefix},"windlass":{"raw":"/w==","special":{"type":"char","major":1,"minor":3},"link":"12@mnt","sparse":true,` +
      '"xattrs":[{"name":"user.a","value":"MQ=="},{"name":"user.b","value":"Mg=="},{"rawName":"dXNlci7/","value":""}],"changed":true}}',
  );
  assert.equal(encodeEntry({ ...FILE, extra: {} }), `${prefix}}`);
  assert.equal(
    encodeEntry({ ...FILE, extra: { special: { type: 'fifo', major: 0, minor: 0 } } }),
    `${prefix},"windlass":{"special":{"type":"fifo"}}}`,
  );
});

test('a directory keeps facts of its own', () => {
  const extra: DirectoryExtra = {
    xattrs: [{ name: new Uint8Array([117]), value: new Uint8Array([1]) }],
    consistency: { changed: 1, vanished: 2 },
    vanished: ['b', 'a'],
  };
  const bytes = directoryOf([FILE], extra);
  assert.ok(
    Buffer.from(bytes)
      .toString()
      .endsWith(
        ',"windlass":{"xattrs":[{"name":"u","value":"AQ=="}],"consistency":{"changed":1,"vanished":2},"vanished":["a","b"]}}\n',
      ),
  );
  assert.deepEqual(parseDirectory(bytes).extra, { ...extra, vanished: ['a', 'b'] });
  assert.ok(
    !Buffer.from(directoryOf([FILE], { consistency: { changed: 0, vanished: 0 }, vanished: [] })).includes('windlass'),
  );
});

test('names that are not UTF-8 are found by their bytes, never by their stand-in', () => {
  const raw = new Uint8Array([0x61, 0xff]);
  const previous = PreviousDirectory.parse(
    directoryOf([
      { ...FILE, name: 'a%FF', extra: { rawName: raw } },
      { ...FILE, name: 'b' },
    ]),
  );
  assert.equal(previous.find('a%FF'), -1);
  assert.equal(previous.findRaw(raw), 0);
  assert.equal(previous.findRaw(new Uint8Array([0x62])), -1);
  assert.equal(previous.find('b'), 1);
  assert.ok(previous.isUnchanged(0, createEntry({ ...FILE })));
});

test('what was still changing, or is no plain file, is never unchanged', () => {
  const stat = createEntry(FILE);
  const isUnchanged = (fields: Partial<EntryFields>): boolean =>
    PreviousDirectory.parse(directoryOf([{ ...FILE, ...fields }])).isUnchanged(0, stat);
  assert.equal(isUnchanged({}), true);
  assert.equal(isUnchanged({ extra: { xattrs: [{ name: new Uint8Array([1]), value: new Uint8Array() }] } }), true);
  assert.equal(isUnchanged({ extra: { changed: true } }), false);
  assert.equal(isUnchanged({ extra: { special: { type: 'fifo', major: 0, minor: 0 } } }), false);
  assert.equal(isUnchanged({ type: 's' }), false);
  assert.equal(isUnchanged({ objectId: '' }), false);
});

test('an impossible time is compared exactly', () => {
  const late: EntryFields = { ...FILE, mtimeSeconds: 99_999_999_999, mtimeNanos: 5 };
  const previous = PreviousDirectory.parse(directoryOf([late]));
  assert.equal(previous.isUnchanged(0, createEntry(late)), true);
  assert.equal(previous.isUnchanged(0, createEntry({ ...late, mtimeNanos: 6 })), false);
});

test('summaries add up, with their errors sorted by path', () => {
  const builder = new SummaryBuilder();
  builder.addFile(10, 5, 6);
  builder.addSymlink(4, 0);
  builder.addFailure({ path: 'z', error: 'EACCES' }, false);
  builder.addFailure({ path: 'b', error: 'EIO' }, true);
  const below = {
    ...SUMMARY,
    maxTimeNs: 7_000_000_001n,
    numFailed: 2,
    numIgnoredErrors: 1,
    errors: [{ path: 'c/d', error: 'x' }],
  };
  builder.addDirectory(below, 1, 1);
  const summary = builder.build(9, 9, 'canceled');
  assert.deepEqual(summary, {
    size: 13,
    files: 2,
    symlinks: 1,
    dirs: 2,
    maxTimeNs: 7_000_000_001n,
    incomplete: 'canceled',
    numFailed: 3,
    numIgnoredErrors: 2,
    errors: [
      { path: 'b', error: 'EIO' },
      { path: 'c/d', error: 'x' },
      { path: 'z', error: 'EACCES' },
    ],
  });
  assert.deepEqual(parseSummary(JSON.parse(encodeSummary(summary))), summary);
  assert.equal(new SummaryBuilder().build(3, 4).maxTimeNs, 3_000_000_004n);
});

test('an entry from nanoseconds has seconds that round down', () => {
  const { mtimeSeconds, mtimeNanos, mtimeNs } = createEntryAtNs({ ...FILE, mtimeNs: -1n });
  assert.deepEqual([mtimeSeconds, mtimeNanos, mtimeNs], [-1, 999_999_999, -1n]);
});

test('what kopia could not have written is DIRECTORY_CORRUPT', () => {
  const entry = { name: 'a', type: 'f', obj: OBJECT_ID };
  const directory = (change: object): string =>
    JSON.stringify({ stream: 'kopia:directory', entries: [entry], summary: null, ...change });
  const withEntry = (change: object): string => directory({ entries: [{ ...entry, ...change }] });
  const bad = [
    '',
    'null',
    directory({ stream: 'kopia:indirect' }),
    directory({ entries: {} }),
    directory({ summary: { size: '1' } }),
    directory({ windlass: 1 }),
    directory({ windlass: { consistency: { changed: -1 } } }),
    directory({ entries: [null] }),
    ...[
      { name: 1 },
      { type: 'x' },
      { mode: 420 },
      { mode: 'rw' },
      { size: -1 },
      { size: 2 ** 53 },
      { uid: 2 ** 32 },
      { gid: 0.5 },
      { obj: 'x' },
      { obj: null },
      { mtime: 'now' },
      { summ: 1 },
      { windlass: null },
      { windlass: { raw: '*' } },
      { windlass: { raw: 'Lg==' } },
      { windlass: { raw: 'YS9i' } },
      { windlass: { special: { type: 'door' } } },
      { windlass: { xattrs: [{ name: 'a\u0000b', value: '' }] } },
      { windlass: { mtime: '1.5' } },
      { windlass: { sparse: 1 } },
    ].map(withEntry),
  ];
  for (const text of bad) {
    assert.throws(
      () => parseDirectory(Buffer.from(text)),
      (error) => hasCode(error, 'DIRECTORY_CORRUPT'),
      text,
    );
  }
  assert.equal(
    parseDirectory(Buffer.from(withEntry({ later: { version: 2 }, mtime: null, size: null }))).entries.length,
    1,
  );
});

test('every truncation and flip of a directory is a typed error or a valid directory', () => {
  const valid = directoryOf([FILE, { ...FILE, name: 'b', mode: 0o4755, uid: 7, extra: { sparse: true, link: '5' } }], {
    vanished: ['x'],
  });
  const check = (bytes: Uint8Array): void => {
    try {
      parseDirectory(bytes);
    } catch (error) {
      assert.ok(hasCode(error, 'DIRECTORY_CORRUPT'), String(error));
    }
    try {
      const previous = PreviousDirectory.parse(bytes);
      for (let i = 0; i < previous.entryCount; i++) previous.isUnchanged(i, createEntry(FILE));
    } catch (error) {
      assert.ok(hasCode(error, 'DIRECTORY_CORRUPT'), String(error));
    }
  };
  for (let i = 0; i < valid.length; i++) {
    if (i < valid.length - 1) {
      assert.throws(
        () => parseDirectory(valid.subarray(0, i)),
        (error) => hasCode(error, 'DIRECTORY_CORRUPT'),
      );
    }
    for (let bit = 0; bit < 8; bit++) {
      const flipped = Uint8Array.from(valid);
      flipped[i] = (flipped[i] ?? 0) ^ (1 << bit);
      check(flipped);
    }
  }
});
