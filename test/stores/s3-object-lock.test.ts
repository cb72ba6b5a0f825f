// Retention: what the format protects is locked by the store, and nothing else is.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { GetObjectRetentionCommand } from '@aws-sdk/client-s3';
import { systemClock } from '../../base/clock.ts';
import { isRetainedBlob } from '../../repo-format/blob/retained-blobs.ts';
import { openS3Storage } from '../../repo-format/blob/s3.ts';
import type { BlobId } from '../../repo-format/blob/storage.ts';
import { startS3Server, type S3Server } from '../harness/s3-server.ts';
import { backUpByKopia, backUpByWindlass, kopiaVerifiesAll } from '../kopia/pair.ts';
import { makePlainTree } from '../kopia/source-tree.ts';
import { openStorePair } from './store-pair.ts';

const signal = new AbortController().signal;
const DAY_MS = 86_400_000;
let server: S3Server;

before(async () => {
  server = await startS3Server();
});
after(() => server.stop());

async function lockOf(bucket: string, key: string): Promise<{ mode: string | undefined; untilMs: number } | undefined> {
  try {
    const command = new GetObjectRetentionCommand({ Bucket: bucket, Key: key });
    const { Retention: retention } = await server.client.send(command);
    return { mode: retention?.Mode, untilMs: retention?.RetainUntilDate?.getTime() ?? 0 };
  } catch (error) {
    assert.ok(error instanceof Error && error.name === 'NoSuchObjectLockConfiguration', String(error));
    return undefined;
  }
}

test('a repository with retention locks packs, indexes and format blobs, and kopia goes on with it', async (t) => {
  const pair = await openStorePair(t, server, { objectLock: true });
  const { windlass, kopia, tree, bucket } = pair;
  await windlass.ok('repository', 'create', '--retention-mode', 'governance', '--retention-period', '2d');
  makePlainTree(tree, 1, 1000);
  await backUpByWindlass(windlass, tree);
  const prefix = 'some/place/';
  const storage = await openS3Storage(server.optionsFor(bucket, prefix), { clock: systemClock }, signal);
  t.after(() => storage.close());
  const seen = new Set<string>();
  for await (const { id } of storage.listBlobs('', signal)) {
    const lock = await lockOf(bucket, `${prefix}${id}`);
    seen.add(id.slice(0, id.startsWith('kopia') ? undefined : 1));
    if (!isRetainedBlob(id)) assert.equal(lock, undefined, id);
    else {
      assert.equal(lock?.mode, 'GOVERNANCE', id);
      assert.ok(Math.abs((lock?.untilMs ?? 0) - Date.now() - 2 * DAY_MS) < DAY_MS / 24, id);
    }
  }
  for (const kind of ['p', 'q', 'x', 'kopia.repository', 'kopia.blobcfg']) assert.ok(seen.has(kind), kind);

  const id = 'kopia.blobcfg' as BlobId;
  await storage.extendRetention?.(id, { mode: 'GOVERNANCE', periodMs: 9 * DAY_MS }, signal);
  assert.ok(((await lockOf(bucket, `${prefix}${id}`))?.untilMs ?? 0) > Date.now() + 8 * DAY_MS);

  await windlass.ok('maintenance', 'set', '--extend-object-locks', 'true');
  const before = (await lockOf(bucket, `${prefix}kopia.repository`))?.untilMs ?? 0;
  await windlass.ok('maintenance', 'run', '--full', '--safety', 'full');
  assert.ok(((await lockOf(bucket, `${prefix}kopia.repository`))?.untilMs ?? 0) > before, 'full maintenance extends');

  if (kopia === undefined) return;
  await kopia.connect();
  await backUpByKopia(kopia, tree);
  await kopiaVerifiesAll(kopia);
  await windlass.ok('snapshot', 'verify');
});

test('a bucket without object lock, and a folder, refuse a repository with retention', async (t) => {
  const pair = await openStorePair(t, server);
  const create = ['repository', 'create', '--retention-mode', 'compliance', '--retention-period', '1d'];
  const refused = await pair.windlass.run(create);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /\[BLOB_STORE_REFUSED\]/);
  const folder = await pair.windlass.run(['-r', pair.target('folder'), ...create]);
  assert.match(folder.stderr, /\[RETENTION_UNSUPPORTED\]/);
  const short = await pair.windlass.run([...create.slice(0, -1), '23h']);
  assert.match(short.stderr, /shorter than a day/);
  const half = await pair.windlass.run(create.slice(0, 4));
  assert.match(half.stderr, /\[CLI_USAGE\]/);
});
