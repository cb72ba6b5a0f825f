import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../base/hex.ts';
import { goldenFormatBlob } from '../../test/harness/format-vectors.ts';
import { encodeFormatReplica, recoverFormatBlob, recoverFormatBlobFromTail } from './format-replica.ts';

test('a replica is the vector of the format', () => {
  const replica = encodeFormatReplica(new Uint8Array(Buffer.from('aadsdasdas')));
  assert.equal(
    toHex(replica),
    '2a00616164736461736461735d248ba07bde060f500ae9b489ff46358544ada66b4737a879ec5f0c9cc257ef2a00',
  );
});

test('the replica in a pack by kopia is its format blob', () => {
  const pack = goldenFormatBlob('v1', 'pack');
  assert.deepEqual(recoverFormatBlob(pack), goldenFormatBlob('v1', 'repository'));
  const replica = encodeFormatReplica(goldenFormatBlob('v1', 'repository'));
  assert.deepEqual(pack.subarray(0, replica.length), replica);
  assert.equal(recoverFormatBlobFromTail(pack), undefined);
});

test('a replica is found from either end', () => {
  const blob = goldenFormatBlob('v3', 'repository');
  const replica = encodeFormatReplica(blob);
  assert.deepEqual(recoverFormatBlob(Buffer.concat([replica, Buffer.alloc(99, 7)])), blob);
  assert.deepEqual(recoverFormatBlobFromTail(Buffer.concat([Buffer.alloc(99, 7), replica])), blob);
  assert.deepEqual(recoverFormatBlob(replica), blob);
  assert.deepEqual(recoverFormatBlobFromTail(replica), blob);
});

test('no truncation and no flipped byte is taken for a replica', () => {
  const replica = encodeFormatReplica(goldenFormatBlob('v3', 'repository'));
  const end = replica.length - 2; // the second length does not belong to the first form
  for (let length = 0; length < end; length++) {
    assert.equal(recoverFormatBlob(replica.subarray(0, length)), undefined);
    assert.equal(recoverFormatBlobFromTail(replica.subarray(replica.length - length)), undefined);
  }
  for (let at = 0; at < end; at++) {
    const damaged = replica.slice();
    damaged[at] = (damaged[at] ?? 0) ^ 0x04;
    assert.equal(recoverFormatBlob(damaged), undefined, `byte ${at}`);
    if (at >= 2) assert.equal(recoverFormatBlobFromTail(damaged), undefined, `byte ${at}`);
  }
});

test('the longest replica, and one byte more', () => {
  const longest = new Uint8Array(65_000 - 32).fill(5);
  assert.deepEqual(recoverFormatBlob(encodeFormatReplica(longest)), longest);
  assert.throws(() => encodeFormatReplica(new Uint8Array(longest.length + 1)), { code: 'FORMAT_INVALID' });
});
