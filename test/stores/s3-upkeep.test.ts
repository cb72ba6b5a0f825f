// Copies, repairs and maintenance of a repository in a real S3 server's bucket.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as library from '@aws-sdk/client-s3';
import { scanTree } from '../harness/scan-tree.ts';
import { startS3Server, type S3Server } from '../harness/s3-server.ts';
import { backUpByWindlass, listByWindlass } from '../kopia/pair.ts';
import { changePlainTree, makePlainTree } from '../kopia/source-tree.ts';
import { openStorePair, PASSWORD, type StorePair } from './store-pair.ts';

const SMALL = 3_000_000;
let server: S3Server;

before(async () => {
  server = await startS3Server();
});
after(() => server.stop());

async function backedUp(t: Parameters<typeof openStorePair>[0]): Promise<StorePair & { readonly ids: string[] }> {
  const pair = await openStorePair(t, server);
  await pair.windlass.ok('repository', 'create');
  makePlainTree(pair.tree, 1, SMALL);
  const first = await backUpByWindlass(pair.windlass, pair.tree);
  changePlainTree(pair.tree, 2);
  const second = await backUpByWindlass(pair.windlass, pair.tree);
  return { ...pair, ids: [first.id, second.id] };
}

async function keysOf({ bucket }: StorePair, prefix: string): Promise<string[]> {
  const answer = await server.client.send(
    new library.ListObjectsV2Command({ Bucket: bucket, Prefix: `some/place/${prefix}` }),
  );
  return (answer.Contents ?? []).map(({ Key }) => Key ?? '').sort();
}

test('a copy from bucket to bucket, and again', async (t) => {
  const from = await backedUp(t);
  const to = await openStorePair(t, server);
  await to.windlass.ok('repository', 'create');
  const environment = { ...server.environment, WINDLASS_TO_PASSWORD: PASSWORD };
  const copier = from.anotherWindlass('copier', environment);
  const copy = async (): Promise<{ copied: { targetId: string }[]; skipped: unknown[]; bytesRead: number }> =>
    (await copier.json('snapshot', 'copy', '--all', '--to', to.url)) as never;
  const once = await copy();
  assert.equal(once.copied.length, 2);
  const again = await copy();
  assert.deepEqual([again.copied.length, again.skipped.length, again.bytesRead], [0, 2, 0]);
  const target = to.target('restored');
  await to.windlass.ok('snapshot', 'restore', once.copied.at(-1)?.targetId ?? '', target);
  assert.deepEqual(scanTree(target), scanTree(from.tree));
  await to.windlass.ok('snapshot', 'verify');
});

test('a repair of lost index blobs', async (t) => {
  const pair = await backedUp(t);
  for (const Key of await keysOf(pair, 'xn'))
    await server.client.send(new library.DeleteObjectCommand({ Bucket: pair.bucket, Key }));
  const fresh = pair.anotherWindlass('fresh');
  assert.equal((await listByWindlass(fresh)).length, 0);
  assert.equal((await fresh.run(['repository', 'repair'])).code, 1);
  assert.deepEqual(await keysOf(pair, 'xn'), [], 'nothing is written without --apply');
  await fresh.ok('repository', 'repair', '--apply');
  assert.equal((await fresh.run(['repository', 'repair'])).code, 0);
  const reader = pair.anotherWindlass('reader');
  assert.deepEqual((await listByWindlass(reader)).map(({ id }) => id).sort(), [...pair.ids].sort());
  await reader.ok('snapshot', 'verify');
});

test('maintenance, quick and full', async (t) => {
  const pair = await backedUp(t);
  const { windlass, ids } = pair;
  await windlass.ok('snapshot', 'delete', ids[0] ?? '');
  const packs = await keysOf(pair, 'p');
  await windlass.ok('maintenance', 'run', '--quick', '--force');
  await windlass.ok('maintenance', 'run', '--full', '--force');
  assert.deepEqual(await keysOf(pair, 'p'), packs, 'nothing young is deleted');
  await pair.anotherWindlass('fresh').ok('snapshot', 'verify');
  await windlass.ok('maintenance', 'run', '--full', '--force', '--safety', 'none');
  const target = pair.target('restored');
  await pair.anotherWindlass('reader').ok('snapshot', 'restore', ids[1] ?? '', target);
  assert.deepEqual(scanTree(target), scanTree(pair.tree));
});
