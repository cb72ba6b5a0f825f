// What every blob storage must do, told as tests. The first line of a storage's test calls this with its factory.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { describe, test, type TestContext } from 'node:test';
import { hasCode } from '../../base/errors.ts';
import type { BlobId, BlobMetadata, BlobStorage, ByteRange } from '../../repo-format/blob/storage.ts';

/** A storage that refuses changes, and another one on the same blobs that does not. */
export interface ReadOnlySubject {
  readonly readOnly: BlobStorage;
  readonly writer: BlobStorage;
}

export interface SuiteOptions {
  /** How far the time that a put tells may be from the one that is read later. */
  readonly timestampSlackMs?: number;
}

export type OpenSubject = (t: TestContext) => Promise<BlobStorage | ReadOnlySubject>;

const signal = new AbortController().signal;
const id = (name: string): BlobId => name as BlobId;
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const withCode = (code: string) => (error: unknown) => hasCode(error, code);

// Names of all lengths and prefixes of the format, so that a layout with folders is tried on both sides of its limits.
const NAMES = [
  'a',
  'kopia.repository',
  'kopia.repository.backup.someone@some-host',
  'p0123456789abcdef0123456789abcdef-s0123456789abcdef147',
  'p0123456789abcdef0123456789abcdee-s0123456789abcdef147',
  'q0123456789abcdef0123456789abcdef-s0123456789abcdef147',
  'xn0_0123456789abcdef0123456789abcdef-s0123456789abcdef147-c1',
  'xn10_0123456789abcdef0123456789abcdef-s0123456789abcdef147-c1',
  'xe1',
  'exactly-20-bytes-abc',
  'exactly-21-bytes-abcd',
  '_log_20261120120000_ab12_1_2_1_0123456789abcdef0123456789abcdef',
];

async function list(storage: BlobStorage, prefix: string): Promise<BlobMetadata[]> {
  const found: BlobMetadata[] = [];
  for await (const blob of storage.listBlobs(prefix, signal)) found.push(blob);
  return found.sort((a, b) => (a.id < b.id ? -1 : 1));
}

async function names(storage: BlobStorage, prefix: string): Promise<string[]> {
  return (await list(storage, prefix)).map((blob) => blob.id);
}

export function blobStorageSuite(name: string, open: OpenSubject, options: SuiteOptions = {}): void {
  const { timestampSlackMs = 0 } = options;
  const subject = async (t: TestContext): Promise<{ reader: BlobStorage; writer: BlobStorage; readOnly: boolean }> => {
    const opened = await open(t);
    const readOnly = 'readOnly' in opened;
    const { reader, writer } = readOnly
      ? { reader: opened.readOnly, writer: opened.writer }
      : { reader: opened, writer: opened };
    t.after(() => reader.close());
    return { reader, writer, readOnly };
  };
  describe(name, () => {
    readingTests(subject, timestampSlackMs);
    listingTests(subject, timestampSlackMs);
    changingTests(subject);
    localFileTests(subject);
  });
}

function assertSameBlob(told: BlobMetadata, expected: BlobMetadata | undefined, slackMs: number): void {
  assert.ok(expected !== undefined);
  const apartMs = Math.abs(told.timestampMs - expected.timestampMs);
  assert.ok(apartMs <= slackMs, `${told.id}: times ${apartMs} ms apart`);
  assert.deepEqual({ ...told, timestampMs: 0 }, { ...expected, timestampMs: 0 });
}

type Subject = (t: TestContext) => Promise<{ reader: BlobStorage; writer: BlobStorage; readOnly: boolean }>;

function readingTests(subject: Subject, slackMs: number): void {
  test('a missing blob is BLOB_NOT_FOUND, whichever way it is read', async (t) => {
    const { reader } = await subject(t);
    for (const missing of NAMES.map(id)) {
      await assert.rejects(reader.getBlob(missing, undefined, signal), withCode('BLOB_NOT_FOUND'));
      await assert.rejects(reader.getBlob(missing, { offset: 0, length: 0 }, signal), withCode('BLOB_NOT_FOUND'));
      await assert.rejects(reader.getMetadata(missing, signal), withCode('BLOB_NOT_FOUND'));
    }
  });

  test('what was put is read back, empty and large blobs included', async (t) => {
    const { reader, writer } = await subject(t);
    const large = new Uint8Array(3_000_001).map((_, index) => index * 31);
    for (const [index, bytes] of [new Uint8Array(0), bytesOf('x'), bytesOf('some bytes'), large].entries()) {
      const blob = id(`blob-of-some-length-${index}`);
      const put = await writer.putBlob(blob, bytes, signal);
      assertSameBlob(put, await reader.getMetadata(blob, signal), slackMs);
      assert.equal(put.length, bytes.length);
      assert.ok(put.timestampMs > Date.UTC(2020, 0, 1), 'the timestamp is a time');
      assert.ok(Buffer.from(bytes).equals(await reader.getBlob(blob, undefined, signal)));
    }
  });

  test('a range is answered exactly, or refused', async (t) => {
    const { reader, writer } = await subject(t);
    const blob = id('p0123456789abcdef0123456789abcdef-s0123456789abcdef147');
    await writer.putBlob(blob, bytesOf('0123456789'), signal);
    const read = async (range: ByteRange): Promise<string> =>
      new TextDecoder().decode(await reader.getBlob(blob, range, signal));
    assert.equal(await read({ offset: 0, length: 10 }), '0123456789');
    assert.equal(await read({ offset: 3, length: 4 }), '3456');
    assert.equal(await read({ offset: 9, length: 1 }), '9');
    assert.equal(await read({ offset: 0, length: 0 }), '');
    assert.equal(await read({ offset: 10, length: 0 }), '');
    for (const [offset, length] of [
      [0, 11],
      [10, 1],
      [11, 0],
      [-1, 2],
      [2, -1],
      [0.5, 1],
      [0, Number.NaN],
      [2 ** 60, 1],
    ] as const) {
      await assert.rejects(reader.getBlob(blob, { offset, length }, signal), withCode('BLOB_INVALID_RANGE'));
    }
  });

  test('buffers are not shared between caller and storage', async (t) => {
    const { reader, writer } = await subject(t);
    const given = bytesOf('before');
    await writer.putBlob(id('kept-bytes'), given, signal);
    given.fill(0);
    const first = await reader.getBlob(id('kept-bytes'), undefined, signal);
    assert.deepEqual(first, bytesOf('before'));
    first.fill(1);
    assert.deepEqual(await reader.getBlob(id('kept-bytes'), undefined, signal), bytesOf('before'));
    const view = Buffer.concat([bytesOf('xx'), bytesOf('middle'), bytesOf('yy')]).subarray(2, 8);
    await writer.putBlob(id('a-view'), view, signal);
    assert.deepEqual(await reader.getBlob(id('a-view'), undefined, signal), bytesOf('middle'));
  });

  test('names that are no blob names are refused everywhere', async (t) => {
    const { reader, writer, readOnly } = await subject(t);
    const bad = [
      '',
      '.',
      '..',
      'a/b',
      '../escape-from-the-root',
      '/etc/passwd',
      'a\0b',
      'a b',
      'ä',
      'a\\b',
      'a\nb',
      'x'.repeat(256),
    ];
    const refused = withCode('BLOB_NAME_INVALID');
    for (const name of bad.map(id)) {
      await assert.rejects(reader.getBlob(name, undefined, signal), refused);
      await assert.rejects(reader.getMetadata(name, signal), refused);
      if (readOnly) continue;
      await assert.rejects(writer.putBlob(name, bytesOf('x'), signal), refused);
      await assert.rejects(writer.deleteBlob(name, signal), refused);
    }
    await assert.rejects(list(reader, '../'), refused);
    assert.deepEqual(await names(reader, ''), []);
  });

  test('an aborted call rejects with the abort and changes nothing', async (t) => {
    const { reader, writer, readOnly } = await subject(t);
    await writer.putBlob(id('stays'), bytesOf('old'), signal);
    const aborted = AbortSignal.abort();
    const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError';
    await assert.rejects(reader.getBlob(id('stays'), undefined, aborted), isAbort);
    await assert.rejects(reader.getMetadata(id('stays'), aborted), isAbort);
    await assert.rejects(reader.freeBytes(aborted), isAbort);
    await assert.rejects(async () => {
      for await (const blob of reader.listBlobs('', aborted)) assert.fail(blob.id);
    }, isAbort);
    if (!readOnly) {
      await assert.rejects(writer.putBlob(id('stays'), bytesOf('new'), aborted), isAbort);
      await assert.rejects(writer.deleteBlob(id('stays'), aborted), isAbort);
    }
    assert.deepEqual(await reader.getBlob(id('stays'), undefined, signal), bytesOf('old'));
  });
}

function listingTests(subject: Subject, slackMs: number): void {
  test('lists exactly the blobs with a prefix, and what it says of them is true', async (t) => {
    const { reader, writer } = await subject(t);
    const put = new Map<string, BlobMetadata>();
    for (const [index, name] of NAMES.entries()) {
      put.set(name, await writer.putBlob(id(name), new Uint8Array(index), signal));
    }
    const prefixes = [
      '',
      'p',
      'q',
      'x',
      'xn',
      'xn1',
      'xn10_',
      'xn0_',
      'xe',
      'xe1',
      'xe11',
      'kopia.',
      'e',
      'zzz',
      '_',
      ...NAMES,
    ];
    for (const prefix of prefixes) {
      const expected = NAMES.filter((name) => name.startsWith(prefix)).sort();
      assert.deepEqual(await names(reader, prefix), expected, `prefix "${prefix}"`);
    }
    for (const blob of await list(reader, '')) assertSameBlob(blob, put.get(blob.id), slackMs);
  });

  test('a list can be left early or aborted midway', async (t) => {
    const { reader, writer } = await subject(t);
    for (const name of NAMES) await writer.putBlob(id(name), bytesOf(name), signal);
    for await (const blob of reader.listBlobs('', signal)) {
      assert.ok(NAMES.includes(blob.id));
      break;
    }
    const controller = new AbortController();
    let seen = 0;
    await assert.rejects(
      async () => {
        for await (const blob of reader.listBlobs('', controller.signal)) {
          assert.ok(blob.length > 0);
          if (++seen === 2) controller.abort();
        }
      },
      { name: 'AbortError' },
    );
    assert.equal(seen, 2);
    await assert.rejects(async () => {
      for await (const blob of reader.listBlobs('', signal)) throw new Error(`consumer failed at ${typeof blob.id}`);
    }, /consumer failed/);
  });

  test('free space is a number of bytes, or not known', async (t) => {
    const { reader } = await subject(t);
    const free = await reader.freeBytes(signal);
    assert.ok(free === undefined || free > 0);
    assert.notEqual(reader.displayName, '');
  });
}

function changingTests(subject: Subject): void {
  test('deleting removes, and a missing blob is deleted already', async (t) => {
    const { reader, writer, readOnly } = await subject(t);
    for (const name of NAMES) await writer.putBlob(id(name), bytesOf(name), signal);
    if (readOnly) {
      await assert.rejects(reader.deleteBlob(id('a'), signal), withCode('BLOB_READ_ONLY'));
      await assert.rejects(reader.putBlob(id('a'), bytesOf('new'), signal), withCode('BLOB_READ_ONLY'));
      assert.deepEqual(await reader.getBlob(id('a'), undefined, signal), bytesOf('a'));
      return;
    }
    for (const [index, name] of NAMES.entries()) {
      await writer.deleteBlob(id(name), signal);
      await writer.deleteBlob(id(name), signal);
      await assert.rejects(reader.getBlob(id(name), undefined, signal), withCode('BLOB_NOT_FOUND'));
      assert.deepEqual(await names(reader, ''), NAMES.slice(index + 1).sort());
    }
  });

  test('putting again replaces the whole blob', async (t) => {
    const { reader, writer } = await subject(t);
    for (const text of ['a long first value', 'short', '', 'longer again']) {
      await writer.putBlob(id('kopia.maintenance'), bytesOf(text), signal);
      assert.deepEqual(await reader.getBlob(id('kopia.maintenance'), undefined, signal), bytesOf(text));
      assert.equal((await reader.getMetadata(id('kopia.maintenance'), signal)).length, text.length);
      assert.deepEqual(await names(reader, ''), ['kopia.maintenance']);
    }
  });

  test('concurrent calls see whole values and fail cleanly only', async (t) => {
    const { reader, writer, readOnly } = await subject(t);
    if (readOnly) return;
    const shared = NAMES.slice(0, 4).map(id);
    const value = (seed: number): Uint8Array => new Uint8Array(10_000 + seed).fill(seed);
    const actor = async (seed: number): Promise<void> => {
      for (let round = 0; round < 6; round++) {
        const blob = shared[(seed + round) % shared.length];
        assert.ok(blob !== undefined);
        const action = (seed * 7 + round) % 4;
        if (action === 0) await writer.deleteBlob(blob, signal);
        else if (action === 1) await list(reader, 'p');
        else if (action === 2) await writer.putBlob(blob, value(seed), signal);
        else {
          const bytes = await reader.getBlob(blob, undefined, signal).catch((error: unknown) => {
            assert.ok(hasCode(error, 'BLOB_NOT_FOUND'), String(error));
          });
          if (bytes !== undefined) assert.ok(Buffer.from(bytes).equals(value(bytes[0] ?? 0)));
        }
      }
    };
    await Promise.all(Array.from({ length: 16 }, (_, seed) => actor(seed + 1)));
  });
}

function localFileTests(subject: Subject): void {
  test('staged files become blobs when committed, and not before', async (t) => {
    const { reader, writer, readOnly } = await subject(t);
    const { localFiles } = reader;
    if (localFiles === undefined) return;
    if (readOnly) {
      assert.throws(() => localFiles.stagingPathOf(id('staged')), withCode('BLOB_READ_ONLY'));
      await assert.rejects(localFiles.commitStaged('x', id('staged'), signal), withCode('BLOB_READ_ONLY'));
    } else {
      for (const name of NAMES) {
        const path = localFiles.stagingPathOf(id(name));
        assert.notEqual(path, localFiles.stagingPathOf(id(name)), 'each staging path is fresh');
        await writeFile(path, name);
        assert.deepEqual(await names(reader, name), []);
        const committed = await localFiles.commitStaged(path, id(name), signal);
        assert.deepEqual(committed, await reader.getMetadata(id(name), signal));
        assert.deepEqual(await reader.getBlob(id(name), undefined, signal), bytesOf(name));
      }
      assert.deepEqual(await names(reader, ''), NAMES.toSorted());
    }
    await writer.putBlob(id('xe7'), bytesOf('marker'), signal);
    assert.ok(localFiles.pathOf(id('xe7')).startsWith(localFiles.layout.rootPath));
  });
}
