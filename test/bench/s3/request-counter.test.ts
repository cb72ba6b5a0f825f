import assert from 'node:assert/strict';
import { test } from 'node:test';

import { noTraffic, RequestCounter } from './request-counter.ts';

const STREAM = Buffer.from(
  'PUT /bucket/p0a1?x-id=PutObject HTTP/1.1\r\nHost: a\r\nContent-Length: 23\r\n\r\nGET / HTTP/1.1\r\n\r\n12345' +
    'GET /bucket/prefix/q0b2 HTTP/1.1\r\nHost: a\r\n\r\n' +
    'GET /bucket?list-type=2&prefix=p HTTP/1.1\r\nHost: a\r\n\r\n' +
    'HEAD /bucket/kopia.repository HTTP/1.1\r\n\r\n' +
    'DELETE /bucket/x1 HTTP/1.1\r\ncontent-length: 0\r\n\r\n' +
    'GET /bucket/p0a1 HTTP/1.1\r\nRange: bytes=0-1\r\n\r\n',
);

test('requests are counted wherever the stream is cut', () => {
  for (let step = 1; step <= STREAM.length; step++) {
    const traffic = noTraffic();
    const counter = new RequestCounter(() => traffic);
    for (let at = 0; at < STREAM.length; at += step) counter.pass(STREAM.subarray(at, at + step));
    assert.deepEqual(traffic.requests, { put: 1, get: 2, list: 1, head: 1, delete: 1, other: 0 }, `step ${step}`);
    assert.deepEqual(traffic.getsByKind, { q: 1, p: 1 });
  }
});

test('a body without a length is refused: what follows could not be told from it', () => {
  const counter = new RequestCounter(noTraffic);
  const head = 'PUT /bucket/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n';
  assert.throws(() => counter.pass(Buffer.from(head)), /without a length/);
});
