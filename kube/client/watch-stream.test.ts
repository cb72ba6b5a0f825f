import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { hasCode } from '../../base/errors.ts';
import type { WatchEvent } from './kube-client.ts';
import type { KubeObject } from '../api/object.ts';
import { watchEvents } from './watch-stream.ts';

const signal = new AbortController().signal;

function anObject(name: string): KubeObject {
  const metadata = { name, uid: name, resourceVersion: '7', creationTimestamp: '2026-01-01T00:00:00Z' };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata };
}

async function read(chunks: readonly (string | Uint8Array)[]): Promise<WatchEvent<KubeObject>[]> {
  const events: WatchEvent<KubeObject>[] = [];
  for await (const event of watchEvents(Readable.from(chunks, { objectMode: false }), 'test', signal))
    events.push(event);
  return events;
}

test('events come whole however the bytes are cut, also within a letter', async () => {
  const objects = ['a', 'ä€😀', 'b'].map(anObject);
  const text = objects.map((object) => `${JSON.stringify({ type: 'MODIFIED', object })}\n`).join('');
  const bytes = Buffer.from(text);
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.nat(bytes.length), { maxLength: 20 }), async (cuts) => {
      const ends = [...cuts.sort((a, b) => a - b), bytes.length];
      const chunks = ends.map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end)).filter(({ length }) => length > 0);
      const events = await read(chunks);
      assert.deepEqual(
        events.map((event) => 'object' in event && event.object),
        objects,
      );
    }),
  );
});

test('a bookmark is only a version, and says when everything there is has come', async () => {
  const bookmarkWith = (annotations?: Record<string, string>): string =>
    `${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion: '12', annotations } } })}\n\n`;
  const seen = await read([
    bookmarkWith(),
    bookmarkWith({ 'k8s.io/initial-events-end': 'false' }),
    bookmarkWith({ 'k8s.io/initial-events-end': 'true' }),
  ]);
  const bookmark = { type: 'BOOKMARK', resourceVersion: '12' } as const;
  assert.deepEqual(
    seen,
    [false, false, true].map((isAll) => ({ ...bookmark, isAll })),
  );
});

test('what the server says in the stream is thrown by its code', async () => {
  const error = (code: number, reason: string): string =>
    `${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code, reason, message: 'm' } })}\n`;
  await assert.rejects(read([error(410, 'Expired')]), (thrown) => hasCode(thrown, 'KUBE_GONE'));
  await assert.rejects(read([error(500, 'InternalError')]), (thrown) => hasCode(thrown, 'KUBE_UNAVAILABLE'));
});

test('what is no event is a failure on the way; a rest without an end is not an event', async () => {
  for (const line of ['<html>\n', '{"type":"ADDED"}\n', 'null\n', '{"type":"BOOKMARK","object":{}}\n'])
    await assert.rejects(read([line]), (thrown) => hasCode(thrown, 'KUBE_UNAVAILABLE'), line);
  assert.deepEqual(await read(['{"type":"ADDED","object":']), []);
});

test('a line without an end does not fill the memory', async () => {
  const chunk = 'x'.repeat(1 << 20);
  await assert.rejects(read(Array.from({ length: 20 }, () => chunk)), (thrown) => hasCode(thrown, 'KUBE_INVALID'));
});

test('an abort destroys the stream and is thrown with its own reason', async () => {
  const body = new Readable({ read: () => undefined });
  const stop = new AbortController();
  const next = watchEvents(body, 'test', stop.signal).next();
  const reason = new Error('stopped');
  stop.abort(reason);
  await assert.rejects(next, reason);
  assert.ok(body.destroyed);
});
