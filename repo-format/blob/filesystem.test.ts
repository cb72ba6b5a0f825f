import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemRandom } from '../../base/random.ts';
import { blobStorageSuite } from '../../test/harness/blob-storage-suite.ts';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { openFilesystemStorage, type FilesystemStorageOptions } from './filesystem.ts';
import type { BlobId, BlobStorage } from './storage.ts';

const signal = new AbortController().signal;
const PACK = 'pb44774003741144db2989b75dd59cc2b-s1d90107fd5441560147' as BlobId;
const BYTES = new TextEncoder().encode('some bytes');
const CURRENT = '{"default":[1,3],"maxNonShardedLength":20}\n';

const open = (path: string, rest: Omit<FilesystemStorageOptions, 'path'> = {}): Promise<BlobStorage> =>
  openFilesystemStorage({ path, ...rest }, { random: systemRandom });

async function names(storage: BlobStorage): Promise<string[]> {
  const found: string[] = [];
  for await (const blob of storage.listBlobs('', signal)) found.push(blob.id);
  return found.sort();
}

blobStorageSuite('filesystem storage', async (t) => open(scratchFolder(t), { create: 'current' }));
blobStorageSuite('filesystem storage of a version 1 repository', async (t) =>
  open(scratchFolder(t), { create: 'version1' }),
);
blobStorageSuite('filesystem storage without folders', async (t) => {
  const path = scratchFolder(t);
  await writeFile(join(path, '.shards'), '{"default":[],"maxNonShardedLength":0}');
  return open(path);
});
blobStorageSuite('filesystem storage opened read-only', async (t) => {
  const path = scratchFolder(t);
  return { writer: await open(path, { create: 'current' }), readOnly: await open(path, { readOnly: true }) };
});

test('a new repository gets the layout of its format version, an old one keeps its own', async (t) => {
  const path = scratchFolder(t);
  for (const [kind, shards, file] of [
    ['current', CURRENT, 'p/b44/774003741144db2989b75dd59cc2b-s1d90107fd5441560147.f'],
    [
      'version1',
      '{"default":[3,3],"maxNonShardedLength":20}\n',
      'pb4/477/4003741144db2989b75dd59cc2b-s1d90107fd5441560147.f',
    ],
  ] as const) {
    const root = join(path, 'not', 'yet', kind);
    const storage = await open(root, { create: kind });
    assert.equal(await readFile(join(root, '.shards'), 'utf8'), shards);
    await storage.putBlob(PACK, BYTES, signal);
    await storage.putBlob('xe11' as BlobId, BYTES, signal);
    assert.deepEqual(await readFile(join(root, file)), Buffer.from(BYTES));
    assert.deepEqual(await readFile(join(root, 'xe11.f')), Buffer.from(BYTES));
    assert.equal((await stat(join(root, file))).mode & 0o777, 0o600);
    assert.equal((await stat(join(root, file, '..'))).mode & 0o777, 0o700);
    for (const other of ['current', 'version1', undefined] as const) {
      const again = await open(root, other === undefined ? {} : { create: other });
      assert.deepEqual(await again.getBlob(PACK, undefined, signal), BYTES);
    }
  }
});

test('no .shards means the legacy layout, and neither reading nor creating over it writes one', async (t) => {
  const path = scratchFolder(t);
  await mkdir(join(path, 'pb4', '477'), { recursive: true });
  await writeFile(join(path, 'pb4', '477', `${PACK.slice(6)}.f`), BYTES);
  for (const rest of [{ readOnly: true }, {}, { create: 'current' }] as const) {
    const storage = await open(path, rest);
    assert.deepEqual(await names(storage), [PACK]);
    assert.deepEqual(await storage.getBlob(PACK, undefined, signal), BYTES);
    assert.deepEqual(await readdir(path), ['pb4']);
  }
});

test('a broken .shards is an error, not a guess', async (t) => {
  const path = scratchFolder(t);
  for (const text of [
    '',
    '{',
    '[]',
    'null',
    '{"default":[-1]}',
    '{"default":"1"}',
    '{"maxNonShardedLength":"a"}',
    ' '.repeat(70_000),
  ]) {
    await writeFile(join(path, '.shards'), text);
    await assert.rejects(open(path), { code: 'BLOB_LAYOUT_INVALID' }, text.slice(0, 40));
  }
});

test('a blob that the layout hides is an error that says where it lies, not a missing blob', async (t) => {
  const path = scratchFolder(t);
  const writer = await open(path, { create: 'current' });
  await writer.putBlob(PACK, BYTES, signal);
  await rm(join(path, '.shards'));
  const lost = await open(path);
  assert.deepEqual(await names(lost), [PACK], 'lists need no layout');
  const hidden = {
    code: 'BLOB_LAYOUT_INVALID',
    message: /lies at p\/b44\/.*, in folders of \[1,3\], .* it makes them \[3,3\]$/,
  };
  await assert.rejects(lost.getBlob(PACK, undefined, signal), hidden);
  await assert.rejects(lost.getMetadata(PACK, signal), hidden);
  await assert.rejects(lost.getBlob(`${PACK}0` as BlobId, undefined, signal), { code: 'BLOB_NOT_FOUND' });
  await writeFile(join(path, '.shards'), '{"default":[3,3],"maxNonShardedLength":20}\n');
  await assert.rejects((await open(path)).getBlob(PACK, undefined, signal), hidden);
  await writeFile(join(path, '.shards'), CURRENT);
  assert.deepEqual(await (await open(path)).getBlob(PACK, undefined, signal), BYTES);
});

test('a missing root is reported and never created anew', async (t) => {
  const path = scratchFolder(t);
  const root = join(path, 'repository');
  await assert.rejects(open(root), { code: 'BLOB_ROOT_MISSING' });
  await writeFile(join(path, 'file'), '');
  await assert.rejects(open(join(path, 'file')), { code: 'BLOB_ROOT_MISSING' });
  const storage = await open(root, { create: 'current' });
  await storage.putBlob(PACK, BYTES, signal);
  await rename(root, join(path, 'unmounted'));
  await assert.rejects(storage.getBlob(PACK, undefined, signal), { code: 'BLOB_ROOT_MISSING' });
  await assert.rejects(storage.putBlob(PACK, BYTES, signal), { code: 'BLOB_IO' });
  await assert.rejects(storage.putBlob('xe1' as BlobId, BYTES, signal), { code: 'BLOB_IO' });
  await assert.rejects(names(storage), { code: 'BLOB_IO' });
  assert.deepEqual((await readdir(path)).sort(), ['file', 'unmounted']);
});

test('a shard folder that was tidied away is made again', async (t) => {
  const path = scratchFolder(t);
  const storage = await open(path, { create: 'current' });
  await storage.putBlob(PACK, BYTES, signal);
  await rm(join(path, 'p'), { recursive: true });
  await storage.putBlob(PACK, BYTES, signal);
  assert.deepEqual(await storage.getBlob(PACK, undefined, signal), BYTES);
});

test('temporary, foreign and odd files are no blobs, and symbolic links are not followed', async (t) => {
  const outside = scratchFolder(t);
  const path = scratchFolder(t);
  const storage = await open(path, { create: 'current' });
  await writeFile(join(outside, 'secret.f'), 'outside');
  await mkdir(join(outside, 'b44'));
  await symlink(outside, join(path, 'p'));
  await symlink(join(outside, 'secret.f'), join(path, 'xe1.f'));
  await mkdir(join(path, 'xe2.f'));
  await writeFile(join(path, 'xe3.f.tmp.0011223344556677'), '');
  await writeFile(join(path, 'README'), '');
  await writeFile(join(path, '.f'), '');
  await writeFile(join(path, 'ä.f'), '');
  execFileSync('mkfifo', [join(path, 'xe4.f')]);
  assert.deepEqual(await names(storage), []);
  await assert.rejects(storage.getBlob('xe1' as BlobId, undefined, signal), { code: 'BLOB_ACCESS_DENIED' });
  await assert.rejects(storage.getBlob('xe2' as BlobId, undefined, signal), { code: 'BLOB_NOT_FOUND' });
  await assert.rejects(storage.getBlob('xe4' as BlobId, undefined, signal), { code: 'BLOB_NOT_FOUND' });
  for (const refused of [
    () => storage.putBlob(PACK, BYTES, signal),
    () => storage.getBlob(PACK, undefined, signal),
    () => storage.deleteBlob(PACK, signal),
    async () => storage.localFiles?.stagingPathOf(PACK),
  ]) {
    await assert.rejects(refused, { code: 'BLOB_ACCESS_DENIED' });
  }
  await storage.putBlob('xe1' as BlobId, BYTES, signal);
  assert.equal(await readFile(join(outside, 'secret.f'), 'utf8'), 'outside', 'a link is replaced, not written through');
  await storage.deleteBlob('xe1' as BlobId, signal);
  assert.deepEqual((await readdir(outside)).sort(), ['b44', 'secret.f']);
});

test(
  'a failed write leaves no temporary file and says what is wrong',
  { skip: process.getuid?.() === 0 },
  async (t) => {
    const path = scratchFolder(t);
    const storage = await open(path, { create: 'current' });
    await chmod(path, 0o500);
    t.after(() => chmod(path, 0o700));
    await assert.rejects(storage.putBlob('xe1' as BlobId, BYTES, signal), { code: 'BLOB_ACCESS_DENIED' });
    assert.deepEqual(await readdir(path), ['.shards']);
  },
);

test('a full disk is BLOB_STORE_FULL', async () => {
  const { translateFileError } = await import('./blob-errors.ts');
  for (const code of ['ENOSPC', 'EDQUOT']) {
    const error = translateFileError(Object.assign(new Error(code), { code }), 'write', PACK, '/x');
    assert.deepEqual(
      [(error as { code: string }).code, (error as { retry: string }).retry],
      ['BLOB_STORE_FULL', 'never'],
    );
  }
});

test('a staging file is committed only as the blob it was made for', async (t) => {
  const storage = await open(scratchFolder(t), { create: 'current' });
  const { localFiles } = storage;
  assert.ok(localFiles !== undefined);
  const staging = localFiles.stagingPathOf(PACK);
  await assert.rejects(localFiles.commitStaged(staging, 'xe1' as BlobId, signal), { code: 'INTERNAL' });
  await assert.rejects(localFiles.commitStaged(staging, PACK, signal), { code: 'BLOB_IO' });
});
