import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { test } from 'node:test';
import { readBody } from './read-body.ts';

const signal = new AbortController().signal;
const details = { operation: 'read', subject: 'blob p1' };
const body = (...chunks: string[]): Readable => Readable.from(chunks.map((chunk) => Buffer.from(chunk)));

test('the bytes come whole, whether their number is announced or not', async () => {
  const read = async (expectedBytes: number | undefined): Promise<string> =>
    Buffer.from(await readBody(body('abc', 'de'), { expectedBytes, details }, signal)).toString();
  assert.equal(await read(5), 'abcde');
  assert.equal(await read(undefined), 'abcde');
  assert.equal((await readBody(body(), { expectedBytes: 0, details }, signal)).length, 0);
});

test('too few and too many bytes are an error, and the body is let go', async () => {
  for (const expectedBytes of [4, 6]) {
    const stream = body('abc', 'de');
    await assert.rejects(readBody(stream, { expectedBytes, details }, signal), { code: 'BLOB_TRUNCATED' });
    assert.ok(stream.destroyed);
  }
});

test('an announced length takes no memory before its bytes are there, and has a bound', async () => {
  const before = process.memoryUsage().arrayBuffers;
  const stream = new PassThrough();
  const reading = readBody(stream, { expectedBytes: 2 ** 30, details }, signal);
  stream.write('x');
  await new Promise(setImmediate);
  assert.ok(process.memoryUsage().arrayBuffers - before < 100 << 20);
  stream.end();
  await assert.rejects(reading, { code: 'BLOB_TRUNCATED' });
  const long = readBody(body('x'), { expectedBytes: 2 ** 40, details }, signal);
  await assert.rejects(long, { code: 'BLOB_STORE_REFUSED' });
  const endless = readBody(body('xx', 'xx'), { expectedBytes: undefined, maxBytes: 3, details }, signal);
  await assert.rejects(endless, { code: 'BLOB_TRUNCATED' });
});

test('a body that breaks off or stalls says which of the two', async () => {
  const failing = (error: Error): Readable => {
    const stream = new PassThrough();
    stream.write('x');
    setImmediate(() => stream.destroy(error));
    return stream;
  };
  const reset = Object.assign(new Error('reset'), { code: 'ECONNRESET' });
  const stalled = Object.assign(new Error('idle'), { name: 'TimeoutError' });
  const read = (error: Error) => readBody(failing(error), { expectedBytes: 5, details }, signal);
  await assert.rejects(read(reset), { code: 'BLOB_TRUNCATED' });
  await assert.rejects(read(stalled), { code: 'BLOB_TIMEOUT' });
});

test('the signal ends the reading', async () => {
  const controller = new AbortController();
  const stream = new PassThrough();
  const reading = readBody(stream, { expectedBytes: 5, details }, controller.signal);
  setImmediate(() => controller.abort());
  await assert.rejects(reading, { name: 'AbortError' });
  assert.ok(stream.destroyed);
});
