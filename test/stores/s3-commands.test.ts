// Commands on a repository in S3, alone and in turns with kopia on the same bucket.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { scanTree } from '../harness/scan-tree.ts';
import { startS3Server, type S3Server } from '../harness/s3-server.ts';
import { backUpByKopia, backUpByWindlass, kopiaVerifiesAll, listByKopia, listByWindlass } from '../kopia/pair.ts';
import { changePlainTree, makePlainTree } from '../kopia/source-tree.ts';
import { openStorePair } from './store-pair.ts';

const SMALL = 3_000_000;
let server: S3Server;

before(async () => {
  server = await startS3Server();
});
after(() => server.stop());

test('create, back up, list, restore, verify and forget, each command with a cache or without', async (t) => {
  const pair = await openStorePair(t, server);
  const { windlass, tree } = pair;
  assert.match(
    await windlass.ok('repository', 'create'),
    /created repository [0-9a-f]{16} at s3:\/\/.*\/some\/place\//,
  );
  assert.match((await windlass.run(['repository', 'create'])).stderr, /REPOSITORY_EXISTS/);
  makePlainTree(tree, 1, SMALL);
  const first = await backUpByWindlass(windlass, tree);
  changePlainTree(tree, 2);
  const second = await backUpByWindlass(windlass, tree);
  assert.notEqual(second.rootEntry.obj, first.rootEntry.obj);
  const fresh = pair.anotherWindlass('fresh');
  assert.equal((await listByWindlass(fresh)).length, 2);
  await fresh.ok('snapshot', 'restore', second.id, pair.target('restored'));
  assert.deepEqual(scanTree(pair.target('restored')), scanTree(tree));
  await pair.anotherWindlass('verifier').ok('snapshot', 'verify');
  await windlass.ok('repository', 'status');
  await windlass.ok('snapshot', 'delete', first.id);
  assert.equal((await listByWindlass(windlass)).length, 1);
});

test('no repository there, no bucket, wrong keys: one line each', async (t) => {
  const pair = await openStorePair(t, server);
  const none = await pair.windlass.run(['snapshot', 'list']);
  assert.match(none.stderr, /^windlass: .*\[REPOSITORY_NOT_FOUND\]\n$/);
  assert.equal(none.code, 10);
  const elsewhere = pair.url.replace(pair.bucket, 'no-such-bucket');
  const noBucket = await pair.windlass.run(['-r', elsewhere, 'snapshot', 'list']);
  assert.match(noBucket.stderr, /^windlass: .*\[BLOB_BUCKET_MISSING\]\n$/);
  const noKeys = { AWS_ACCESS_KEY_ID: 'nobody', AWS_SECRET_ACCESS_KEY: 'planted-secret' };
  const stranger = pair.anotherWindlass('stranger', noKeys);
  const denied = await stranger.run(['snapshot', 'list', '--log-level', 'debug']);
  assert.match(denied.stderr, /\[BLOB_ACCESS_DENIED\]/);
  assert.ok(!denied.stderr.includes('planted-secret'));
});

for (const creator of ['windlass', 'kopia'] as const) {
  test(`in turns with kopia in a bucket, repository by ${creator}`, async (t) => {
    const pair = await openStorePair(t, server);
    const { windlass, kopia, tree } = pair;
    if (kopia === undefined) return t.skip('there is no kopia');
    if (creator === 'windlass') {
      await windlass.ok('repository', 'create');
      await kopia.connect();
      await kopia.ok('maintenance', 'set', '--owner=me');
      await kopia.disableMaintenance();
    } else await kopia.create({});
    await kopia.ok('policy', 'set', '--global', '--keep-latest=1000');
    makePlainTree(tree, 1, SMALL);
    const ours = await backUpByWindlass(windlass, tree);
    const theirs = await backUpByKopia(kopia, tree);
    assert.equal(theirs.rootEntry.obj, ours.rootEntry.obj);
    changePlainTree(tree, 3);
    const theirSecond = await backUpByKopia(kopia, tree);
    const ourSecond = await backUpByWindlass(windlass, tree);
    assert.equal(theirSecond.rootEntry.obj, ourSecond.rootEntry.obj);
    await pair.anotherWindlass('fresh').ok('snapshot', 'restore', theirSecond.id, pair.target('by-windlass'));
    assert.deepEqual(scanTree(pair.target('by-windlass')), scanTree(tree));
    await kopia.ok('snapshot', 'restore', ourSecond.id, pair.target('by-kopia'));
    // Kopia itself does not keep the times of all folders.
    const options = { directoryTimes: false };
    assert.deepEqual(scanTree(pair.target('by-kopia'), options), scanTree(tree, options));
    const ids = (list: readonly { readonly id: string }[]): string[] => list.map(({ id }) => id).sort();
    assert.deepEqual(ids(await listByWindlass(windlass)), ids(await listByKopia(kopia)));
    await windlass.ok('snapshot', 'verify');
    await kopiaVerifiesAll(kopia);
  });
}
