import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseObjectId } from '../object/object-id.ts';
import { encodeEntry, type EntryFields } from './directory-entry.ts';
import { compareNames, directoryTail, encodeDirectory } from './directory-object.ts';
import { type ComposedFields, EntryBuffer } from './entry-buffer.ts';
import { PreviousDirectory, type UnchangedEntry } from './previous-directory.ts';

const ID = parseObjectId('00112233445566778899aabbccddeeff');
const SUMMARY = { size: 3, files: 1, symlinks: 0, dirs: 1, maxTimeNs: 0n, numFailed: 0 };

type File = EntryFields & ComposedFields;

const FILE: File = {
  name: 'a',
  type: 'f',
  mode: 0o644,
  size: 3,
  mtimeSeconds: 1_700_000_000,
  mtimeNanos: 120_000_000,
  uid: 0,
  gid: 0,
  objectId: ID,
};

const names = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
  fc.string({ unit: fc.constantFrom('a', 'b', '"', '\\', '<', ' ', '!', '\u007f', '\n', 'é', '😀'), minLength: 1 }),
  fc.constantFrom('lone \ud800 surrogate', `${'x'.repeat(255)}`),
);

const fields: fc.Arbitrary<File> = fc.record({
  name: names,
  type: fc.constantFrom('f' as const, 's' as const),
  mode: fc.oneof(fc.nat(0o7777), fc.constantFrom(0, 0o644)),
  size: fc.oneof(fc.nat(20_000), fc.maxSafeNat(), fc.constantFrom(0, 9, 10, 2 ** 31 - 1, 2 ** 31)),
  mtimeSeconds: fc.oneof(
    fc.integer({ min: -1e12, max: 1e12 }),
    fc.integer({ min: 0, max: 2e9 }),
    fc.constantFrom(0, -1),
  ),
  mtimeNanos: fc.oneof(fc.nat(999_999_999), fc.constantFrom(0, 1, 500_000_000)),
  uid: fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0, 1000)),
  gid: fc.oneof(fc.nat(0xffffffff), fc.constantFrom(0, 1000)),
  objectId: fc.constantFrom(ID, parseObjectId(`Ix${'ab'.repeat(16)}`), parseObjectId('cd'.repeat(32))),
  extra: fc.option(
    fc.constantFrom({ sparse: true } as const, { link: '77' }, { changed: true } as const, {
      rawName: new Uint8Array([1, 0xff]),
    }),
    { nil: undefined },
  ),
});

function objectOf(buffer: EntryBuffer, files: readonly File[]): Uint8Array {
  buffer.begin();
  for (const file of files) {
    buffer.compose(file.name, file);
    buffer.commit(file.objectId, file.extra);
  }
  return buffer.finish(directoryTail({ summary: SUMMARY }));
}

function sortedByName(files: readonly File[]): File[] {
  const byName = new Map(files.map((file) => [file.name, file]));
  return [...byName.values()].sort((a, b) => compareNames(a.name, b.name));
}

test('entries in a buffer are those that encodeEntry makes, in one directory after another', () => {
  const buffer = new EntryBuffer();
  fc.assert(
    fc.property(fc.array(fields, { maxLength: 20 }), (files) => {
      const expected = encodeDirectory({
        dirEntryTexts: [],
        otherEntryTexts: files.map(encodeEntry),
        summary: SUMMARY,
      });
      assert.equal(Buffer.from(objectOf(buffer, files)).toString(), Buffer.from(expected).toString());
    }),
    { numRuns: 500 },
  );
});

test('a composed entry that is not committed leaves nothing behind', () => {
  const buffer = new EntryBuffer();
  buffer.compose('gone', FILE);
  assert.equal(buffer.takeText(), '');
  buffer.compose('x', FILE);
  buffer.commit(ID, undefined);
  buffer.compose('gone', FILE);
  buffer.compose('y', { ...FILE, type: 's' });
  buffer.commit(ID, { sparse: true });
  buffer.compose('gone', FILE);
  const texts = [
    encodeEntry({ ...FILE, name: 'x' }),
    encodeEntry({ ...FILE, name: 'y', type: 's', extra: { sparse: true } }),
  ];
  assert.equal(buffer.takeText(), texts.join(','));
  assert.equal(buffer.takeText(), '');
});

test('a directory longer than the first memory is whole', () => {
  const files = Array.from({ length: 3000 }, (_, i) => ({
    ...FILE,
    name: `${String(i).padStart(5, '0')}-${'n'.repeat(200)}`,
  }));
  const expected = encodeDirectory({ dirEntryTexts: [], otherEntryTexts: files.map(encodeEntry), summary: SUMMARY });
  assert.deepEqual(Buffer.from(objectOf(new EntryBuffer(), files)), Buffer.from(expected));
});

/** What the walk asks: each of today's files, in order. */
function askedInOrder(previous: PreviousDirectory, files: readonly File[]): (UnchangedEntry | undefined)[] {
  const buffer = new EntryBuffer();
  return files.map((file) => {
    buffer.compose(file.name, file);
    return previous.findUnchanged(file.name, buffer.composed, file);
  });
}

/** The same by the parsed entries. */
function askedByNumber(previous: PreviousDirectory, files: readonly File[]): (UnchangedEntry | undefined)[] {
  return files.map((file) => previous.unchangedAt(previous.find(file.name), file));
}

test('comparing bytes and comparing parsed entries agree', () => {
  const directory = encodeEntry({ ...FILE, name: 'a directory', type: 'd', summary: SUMMARY });
  const change = fc.record({ at: fc.nat(30), kind: fc.constantFrom('drop', 'add', 'size', 'mtime', 'mode', 'type') });
  fc.assert(
    fc.property(
      fc.array(fields, { maxLength: 25 }),
      fc.array(change, { maxLength: 6 }),
      fc.boolean(),
      (all, changes, withDirectory) => {
        const then = sortedByName(all);
        const now = changedBy(then, changes);
        const bytes = encodeDirectory({
          dirEntryTexts: withDirectory ? [directory, directory] : [],
          otherEntryTexts: then.map(encodeEntry),
          summary: SUMMARY,
        });
        assert.deepEqual(
          askedInOrder(PreviousDirectory.parse(bytes), now),
          askedByNumber(PreviousDirectory.parse(bytes), now),
        );
      },
    ),
    { numRuns: 1000 },
  );
});

function changedBy(then: readonly File[], changes: readonly { at: number; kind: string }[]): File[] {
  const now = [...then];
  for (const { at, kind } of changes) {
    const file = now[at % Math.max(1, now.length)];
    if (file === undefined) continue;
    const index = now.indexOf(file);
    if (kind === 'drop') now.splice(index, 1);
    else if (kind === 'add') now.push({ ...file, name: `${file.name}!` });
    else if (kind === 'size') now[index] = { ...file, size: file.size === 0 ? 1 : 0 };
    else if (kind === 'mtime') now[index] = { ...file, mtimeNanos: file.mtimeNanos ^ 1 };
    else if (kind === 'mode') now[index] = { ...file, mode: file.mode ^ 0o1000 };
    else now[index] = { ...file, type: file.type === 'f' ? 's' : 'f' };
  }
  return sortedByName(now);
}

test('a directory that kopia would not write is parsed, and one that cannot be is never a match', () => {
  const text = Buffer.from(
    encodeDirectory({ dirEntryTexts: [], otherEntryTexts: [encodeEntry(FILE)], summary: SUMMARY }),
  ).toString();
  const ask = (changed: string): UnchangedEntry | undefined =>
    askedInOrder(PreviousDirectory.parse(Buffer.from(changed)), [FILE])[0];
  assert.deepEqual(ask(text), { objectId: ID, extra: undefined });
  assert.deepEqual(ask(text.replace('{"stream"', '{ "stream"')), { objectId: ID, extra: undefined });
  assert.deepEqual(ask(text.replace('"mode":"0644"', '"mode":"0o644"')), { objectId: ID, extra: undefined });
  assert.deepEqual(ask(text.replace(`"obj":"${ID}"`, `"obj":"${ID}","later":1`)), { objectId: ID, extra: undefined });
  assert.equal(ask(text.replace(ID, '0g')), undefined);
  assert.equal(ask(text.replace(ID, '')), undefined);
  assert.equal(ask(text.slice(0, 90)), undefined);
  assert.equal(ask(text.replace('"size":3', '"size":3.5e')), undefined);
});
