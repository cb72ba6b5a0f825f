import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { WindlassError, hasCode } from '../../base/errors.ts';
import { toHex } from '../../base/hex.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { createKeyedHash } from '../hash/keyed-hash.ts';
import { PartialHash } from '../hash/partial-hash.ts';
import type { ContentId } from '../index/content-id.ts';
import { type Splitter, createSplitter } from '../splitter/splitter.ts';
import type { ChunkSink } from './chunk-sink.ts';
import { encodeIndirect, parseIndirect } from './indirect-object.ts';
import { type ObjectId, directObjectId, indirectObjectId, parseObjectId } from './object-id.ts';
import { type ContentSource, objectPieces, openObject, readObject, walkObject } from './object-reader.ts';
import { ObjectWriter, writeConcatenation, writeObject } from './object-writer.ts';

const SECRET = new Uint8Array(32).fill(5);
const signal = AbortSignal.timeout(60_000);

interface Written {
  readonly prefix: string;
  readonly bytes: Buffer;
  readonly compressor: string;
}

/** Contents in memory, named by a plain hash. */
class MemoryContents implements ChunkSink, ContentSource {
  readonly splitterName: string;
  readonly supportsContentCompression: boolean;
  readonly written = new Map<string, Written>();
  readonly reads: string[] = [];

  constructor(splitterName = 'FIXED-128K', supportsContentCompression = true) {
    this.splitterName = splitterName;
    this.supportsContentCompression = supportsContentCompression;
  }

  writeContent(prefix: string, chunk: Uint8Array, compressor: string): ContentId {
    const id = prefix + createHash('sha256').update(chunk).digest('hex').slice(0, 32);
    this.written.set(id, { prefix, bytes: Buffer.from(chunk), compressor });
    return id as ContentId;
  }

  readContent(id: ContentId): Promise<Uint8Array> {
    this.reads.push(id);
    const found = this.written.get(id);
    if (found === undefined) return Promise.reject(new WindlassError(`no ${id}`, { code: 'CONTENT_NOT_FOUND' }));
    return Promise.resolve(found.bytes);
  }

  put(prefix: string, text: string): ObjectId {
    return directObjectId(this.writeContent(prefix, Buffer.from(text), 'none'));
  }
}

/** A splitter small enough for tests: cuts after every byte that is `\n`, from 1 to 16 bytes. */
function lineSplitter(): Splitter {
  const window = new Uint8Array(16 + 5);
  return {
    name: 'lines',
    minBytes: 1,
    maxBytes: 16,
    window,
    findCut(start, end, scanned) {
      for (let i = start + scanned; i < end; i++) {
        if (window[i] === 0x0a || i - start + 1 === 16) return i - start + 1;
      }
      return 0;
    },
  };
}

test('an empty object is one empty content', async () => {
  const contents = new MemoryContents();
  const id = new ObjectWriter(contents, lineSplitter()).result();
  assert.equal(contents.written.size, 1);
  assert.equal((await readObject(contents, id, signal)).length, 0);
});

test('one chunk is the object itself, also when it ends at a cut', async () => {
  const contents = new MemoryContents();
  const writer = new ObjectWriter(contents, lineSplitter());
  writer.write(Buffer.from('abc\n'));
  const id = writer.result();
  assert.match(id, /^[0-9a-f]{32}$/);
  assert.equal(contents.written.size, 1);
  assert.equal(Buffer.from(await readObject(contents, id, signal)).toString(), 'abc\n');
});

test('however the bytes arrive, the object is the same and reads back', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.stringMatching(/^[ab\n]{0,40}$/), { maxLength: 12 }),
      fc.nat(60),
      fc.nat(60),
      async (parts, offset, length) => {
        const whole = Buffer.from(parts.join(''));
        const contents = new MemoryContents();
        const writer = new ObjectWriter(contents, lineSplitter());
        for (const part of parts) writer.write(Buffer.from(part));
        assert.equal(writer.length, whole.length);
        const id = writer.result();
        writer.reset();
        writer.write(whole);
        assert.equal(writer.result(), id);
        const reader = await openObject(contents, id, signal);
        assert.equal(reader.length, whole.length);
        const expected = whole.subarray(offset, offset + length);
        assert.deepEqual(Buffer.from(await reader.read(offset, length, signal)), expected);
        assert.deepEqual(Buffer.from(await readObject(contents, id, signal)), whole);
      },
    ),
  );
});

/** Named by the keyed hash, as a content writer does it; counts what was hashed while it was gathered. */
class HashingContents implements ChunkSink {
  readonly splitterName = 'DYNAMIC-1M-BUZHASH';
  readonly #hash = createKeyedHash('BLAKE3-256-128', SECRET);
  aheadBytes = 0;

  createPartialHash(): PartialHash {
    return new PartialHash(createKeyedHash('BLAKE3-256-128', SECRET));
  }

  writeContent(prefix: string, chunk: Uint8Array, _: string, ahead?: PartialHash): ContentId {
    const digest = new Uint8Array(16);
    this.aheadBytes += ahead?.bytes ?? 0;
    if (ahead === undefined || ahead.bytes === 0) this.#hash.digestInto(chunk, digest, 0);
    else ahead.finishInto(chunk, digest, 0);
    return (prefix + toHex(digest)) as ContentId;
  }
}

test('chunks hashed while they are read have the ids of chunks hashed at once', () => {
  const data = new SeededRandom(8).bytes(9 << 20);
  const splitter = createSplitter('DYNAMIC-1M-BUZHASH', 256 << 10);
  const ahead = new HashingContents();
  const writer = new ObjectWriter(ahead, splitter);
  const contents = new HashingContents();
  const plain: ChunkSink = {
    splitterName: contents.splitterName,
    writeContent: (prefix, chunk, compressor) => contents.writeContent(prefix, chunk, compressor),
  };
  const reference = new ObjectWriter(plain, createSplitter('DYNAMIC-1M-BUZHASH', 256 << 10));
  for (const length of [(512 << 10) - 1, 512 << 10, (512 << 10) + 1, 1 << 20, data.length]) {
    reference.reset();
    reference.write(data.subarray(0, length));
    for (const slice of [256 << 10, (256 << 10) - 4097, 70_001]) {
      // What was begun of another object is forgotten.
      writer.write(data.subarray(17, (1 << 20) + 17));
      writer.reset();
      for (let at = 0; at < length; at += slice) writer.write(data.subarray(at, Math.min(length, at + slice)));
      writer.checkpoint();
      assert.deepEqual(writer.resultPieces(), reference.resultPieces(), `${length} by ${slice}`);
    }
  }
  assert.ok(ahead.aheadBytes > 2 * data.length, 'most was hashed ahead');
});

test('a checkpoint covers what was stored, without the open chunk', async () => {
  const contents = new MemoryContents();
  const writer = new ObjectWriter(contents, lineSplitter());
  writer.write(Buffer.from('ab'));
  assert.equal(writer.checkpoint(), undefined);
  writer.write(Buffer.from('c\nde\nf'));
  const checkpoint = writer.checkpoint();
  assert.ok(checkpoint);
  assert.equal(Buffer.from(await readObject(contents, checkpoint, signal)).toString(), 'abc\nde\n');
  assert.equal(Buffer.from(await readObject(contents, writer.result(), signal)).toString(), 'abc\nde\nf');
});

test('pieces go where kopia puts them, with the compressors asked for', () => {
  const contents = new MemoryContents();
  const writer = new ObjectWriter(contents, lineSplitter(), { prefix: '', compressor: 'gzip' });
  writer.write(Buffer.from('a\nb\n'));
  assert.match(writer.result(), /^Ix/);
  writer.reset({ prefix: 'k', compressor: 'none', metadataCompressor: 'deflate-default' });
  writer.write(Buffer.from('a\nb\n'));
  assert.match(writer.result(), /^Ik/);
  const seen = [...contents.written.values()].map(({ prefix, compressor }) => `${prefix}:${compressor}`);
  assert.deepEqual(seen, [':gzip', ':gzip', 'x:zstd-fastest', 'k:none', 'k:none', 'k:deflate-default']);
});

test('a long index is itself split, to any depth', async () => {
  const contents = new MemoryContents('FIXED-128K');
  const writer = new ObjectWriter(contents, lineSplitter());
  const whole = Buffer.from(Array.from({ length: 4000 }, (_, i) => `${i}\n`).join(''));
  writer.write(whole);
  const id = writer.result();
  assert.match(id, /^IIx/);
  assert.deepEqual(Buffer.from(await readObject(contents, id, signal)), whole);
  const reader = await openObject(contents, id, signal);
  assert.equal(Buffer.from(await reader.read(whole.length - 5, 100, signal)).toString(), '3999\n');
  const walked = new Set<string>();
  for await (const contentId of walkObject(contents, id, signal)) walked.add(contentId);
  assert.deepEqual(walked, new Set(contents.written.keys()));
});

test('only objects longer than the shortest chunk need a splitter', () => {
  for (const name of ['FIXED', 'FIXED-128K', 'DYNAMIC', 'DYNAMIC-128K-BUZHASH', 'DYNAMIC-128K-RABINKARP', '']) {
    const contents = new MemoryContents(name);
    const { minBytes } = createSplitter(name || 'FIXED', 0);
    // Sixty-four equal bytes are a cut for buzhash, so a zero object is cut as soon as it may be.
    assert.match(writeObject(contents, new Uint8Array(minBytes)), /^[0-9a-f]/, name);
    assert.match(writeObject(contents, new Uint8Array(minBytes * 5)), /^Ix/, name);
  }
});

test('without content compression file data is compressed by the object layer', async () => {
  const contents = new MemoryContents('FIXED-128K', false);
  const text = 'windlass '.repeat(1000);
  const id = writeObject(contents, Buffer.from(text), { compressor: 'gzip' });
  assert.match(id, /^Z/);
  assert.equal(Buffer.from(await readObject(contents, id, signal)).toString(), text);
  assert.match(writeObject(contents, Buffer.from(text), { compressor: 'gzip', prefix: 'k' }), /^k/);
  assert.match(writeObject(contents, Buffer.from('short'), { compressor: 'gzip' }), /^[0-9a-f]/);
  assert.ok([...contents.written.values()].every(({ compressor }) => compressor === 'none'));
});

test('parts are joined without reading them', async () => {
  const contents = new MemoryContents();
  const one = contents.put('', 'a');
  const empty = contents.put('', '');
  const writer = new ObjectWriter(contents, lineSplitter());
  writer.write(Buffer.from('x\ny\n'));
  const pieces = await Promise.all([one, empty, writer.result()].map((id) => objectPieces(contents, id, signal)));
  const id = writeConcatenation(contents, pieces);
  assert.equal(Buffer.from(await readObject(contents, id, signal)).toString(), 'ax\ny\n');
  const index = contents.written.get(id.slice(1))?.bytes.toString() ?? '';
  assert.match(index, /^\{"stream":"kopia:indirect","entries":\[\{"l":1,"o":"[0-9a-f]+"\},\{"s":1,"o":/);
  assert.ok(index.endsWith('\n'));
});

test('a missing content is a missing object', async () => {
  const contents = new MemoryContents();
  const id = parseObjectId('00112233445566778899aabbccddeeff');
  await assert.rejects(readObject(contents, id, signal), (error) => hasCode(error, 'OBJECT_NOT_FOUND'));
});

test('index objects that lie are OBJECT_CORRUPT', async () => {
  const contents = new MemoryContents();
  const data = contents.put('', 'abc');
  const bad = [
    '',
    '[]',
    '{}',
    '{"entries":null}',
    '{"entries":[]}',
    '{"entries":[null]}',
    `{"entries":[{"s":1,"l":3,"o":"${data}"}]}`,
    `{"entries":[{"l":-3,"o":"${data}"}]}`,
    `{"entries":[{"l":4,"o":"${data}"}]}`,
    `{"entries":[{"l":3.5,"o":"${data}"}]}`,
    `{"entries":[{"l":3,"o":""}]}`,
    `{"entries":[{"l":3}]}`,
    `{"entries":[{"l":3,"o":"${data}"},{"s":4,"l":3,"o":"${data}"}]}`,
    `{"entries":[{"l":9007199254740991,"o":"${data}"},{"s":9007199254740991,"l":2,"o":"${data}"}]}`,
    `{"entries":[{"l":9223372036854775807,"o":"${data}"}]}`,
  ];
  for (const text of bad) {
    const id = indirectObjectId(contents.put('x', text));
    const read = openObject(contents, id, signal).then((reader) => reader.read(0, 10, signal));
    await assert.rejects(read, (error) => hasCode(error, 'OBJECT_CORRUPT'), text);
  }
});

test('an absurd length takes no memory before the bytes are there', async () => {
  const contents = new MemoryContents();
  const data = contents.put('', 'abc');
  const id = indirectObjectId(contents.put('x', `{"entries":[{"l":9007199254740000,"o":"${data}"}]}`));
  await assert.rejects(readObject(contents, id, signal), (error) => hasCode(error, 'OBJECT_TOO_LARGE'));
});

test('lists that list each other many times over are walked once each', async () => {
  const contents = new MemoryContents();
  let id = contents.put('', 'x');
  for (let level = 0, length = 1; level < 7; level++, length *= 50) {
    const entries = Array.from({ length: 50 }, (_, i) => ({ start: i * length, length, objectId: id }));
    id = indirectObjectId(contents.put('x', Buffer.from(encodeIndirect(entries)).toString()));
  }
  const walked = new Set<string>();
  for await (const contentId of walkObject(contents, id, signal)) walked.add(contentId);
  assert.equal(walked.size, 8);
  const reader = await openObject(contents, id, signal);
  assert.equal(Buffer.from(await reader.read(reader.length - 3, 9, signal)).toString(), 'xxx');
});

test('nesting without end is refused', async () => {
  const contents = new MemoryContents();
  let id = contents.put('', 'x');
  for (let level = 0; level < 12; level++)
    id = indirectObjectId(contents.put('x', `{"entries":[{"l":1,"o":"${id}"}]}`));
  const read = openObject(contents, id, signal).then((reader) => reader.read(0, 1, signal));
  await assert.rejects(read, (error) => hasCode(error, 'OBJECT_CORRUPT'));
  await assert.rejects(drain(walkObject(contents, id, signal)), (error) => hasCode(error, 'OBJECT_CORRUPT'));
});

async function drain(items: AsyncIterable<unknown>): Promise<void> {
  for await (const item of items) assert.ok(item);
}

test('every truncation and flip of an index object is a typed error or a valid list', () => {
  const id = parseObjectId('x00112233445566778899aabbccddeeff');
  const valid = encodeIndirect([
    { start: 0, length: 2097152, objectId: parseObjectId('1bbc2233445566778899aabbccddeeff') },
    { start: 2097152, length: 17, objectId: parseObjectId('ab1d2233445566778899aabbccddeeff') },
  ]);
  const tryParse = (bytes: Uint8Array): void => {
    try {
      parseIndirect(bytes, id);
    } catch (error) {
      assert.ok(hasCode(error, 'OBJECT_CORRUPT'), String(error));
    }
  };
  for (let i = 0; i < valid.length - 1; i++) {
    assert.throws(
      () => parseIndirect(valid.subarray(0, i), id),
      (error) => hasCode(error, 'OBJECT_CORRUPT'),
    );
    for (let bit = 0; bit < 8; bit++) {
      const flipped = Uint8Array.from(valid);
      flipped[i] = (flipped[i] ?? 0) ^ (1 << bit);
      tryParse(flipped);
    }
  }
});
