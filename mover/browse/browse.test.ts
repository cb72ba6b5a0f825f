// Path resolution, listing, finding and comparing, on trees stored in memory.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { hasCode } from '../../base/errors.ts';
import type { Repository, SnapshotManifest } from '../../repo-format/index.ts';
import { memoryRepository, StoredEntry, storeTree } from '../../test/harness/stored-tree.ts';
import { diffTrees } from './diff-trees.ts';
import { findEntries } from './find-entries.ts';
import { parseGlob } from './glob.ts';
import { listTree } from './list-tree.ts';
import { resolvePath, rootEntryOf } from './resolve-path.ts';

const TREE = { etc: { app: { 'x.conf': 'x' }, hosts: 'localhost' }, 'a.txt': 'a', empty: {} };

async function list(
  t: TestContext,
  repository: Repository,
  manifest: SnapshotManifest,
  path: string,
  recursive: boolean,
): Promise<string[]> {
  const start = await resolvePath(repository, manifest, path, t.signal);
  const found = await Array.fromAsync(listTree(repository, start, { recursive }, t.signal));
  return found.map((item) => item.path);
}

test('a path leads to its entry, whatever slashes it has too many', async (t) => {
  const repository = await memoryRepository(t);
  const manifest = await storeTree(t, repository, TREE);
  for (const path of ['etc/app/x.conf', '/etc/app/x.conf', 'etc//app/x.conf/']) {
    const { entry, path: found } = await resolvePath(repository, manifest, path, t.signal);
    assert.deepEqual([entry.name, entry.size, found], ['x.conf', 1, 'etc/app/x.conf']);
  }
  assert.equal((await resolvePath(repository, manifest, '', t.signal)).entry, rootEntryOf(manifest));
});

test('what is not there, or not a directory on the way, is a typed error', async (t) => {
  const repository = await memoryRepository(t);
  const manifest = await storeTree(t, repository, TREE);
  const code = (expected: string) => (error: unknown) => hasCode(error, expected);
  await assert.rejects(resolvePath(repository, manifest, 'etc/nope', t.signal), code('ENTRY_NOT_FOUND'));
  await assert.rejects(resolvePath(repository, manifest, 'a.txt/nope', t.signal), code('ENTRY_NOT_DIRECTORY'));
  await assert.rejects(resolvePath(repository, manifest, '../etc', t.signal), code('ENTRY_NOT_FOUND'));
  assert.throws(() => rootEntryOf({ ...manifest, rootEntry: null }), code('SNAPSHOT_INCOMPLETE'));
});

test('names that hold slashes, as block volumes by Velero have, are found', async (t) => {
  const repository = await memoryRepository(t);
  const manifest = await storeTree(t, repository, { '/dev/uid-1': 'block', 'x/y': { z: 'z' } });
  assert.equal((await resolvePath(repository, manifest, 'dev/uid-1', t.signal)).entry.size, 5);
  assert.equal((await resolvePath(repository, manifest, 'x/y/z', t.signal)).entry.name, 'z');
});

test('a listing has directories first, and with recursion what is in them right after', async (t) => {
  const repository = await memoryRepository(t);
  const manifest = await storeTree(t, repository, TREE);
  assert.deepEqual(await list(t, repository, manifest, '', false), ['empty', 'etc', 'a.txt']);
  assert.deepEqual(await list(t, repository, manifest, '', true), [
    'empty',
    'etc',
    'etc/app',
    'etc/app/x.conf',
    'etc/hosts',
    'a.txt',
  ]);
  assert.deepEqual(await list(t, repository, manifest, 'etc/hosts', true), ['etc/hosts']);
});

test('an object that is no directory is DIRECTORY_CORRUPT and named with its path', async (t) => {
  const repository = await memoryRepository(t);
  const manifest = await storeTree(t, repository, { bad: new StoredEntry('not a directory', { type: 'd' }) });
  await assert.rejects(list(t, repository, manifest, '', true), /directory bad \(object [0-9a-f]+\)/);
});

test('an aborted listing stops', async (t) => {
  const repository = await memoryRepository(t);
  const manifest = await storeTree(t, repository, TREE);
  const controller = new AbortController();
  const start = await resolvePath(repository, manifest, '', t.signal);
  const walk = listTree(repository, start, { recursive: true }, controller.signal);
  await walk.next();
  controller.abort();
  await assert.rejects(walk.next(), { name: 'AbortError' });
});

test('find gives every match in every snapshot, also in directories that snapshots share', async (t) => {
  const repository = await memoryRepository(t);
  const shared = { deep: { 'x.key': 'k', other: 'o' }, barren: { only: 'o', sub: { more: 'm' } } };
  const first = await storeTree(t, repository, { ...shared, one: '1' }, 'first');
  const second = await storeTree(t, repository, { ...shared, 'y.key': {} }, 'second');
  const find = async (pattern: string): Promise<string[]> => {
    const found = findEntries(repository, [first, { ...first, rootEntry: null }, second], parseGlob(pattern), t.signal);
    return (await Array.fromAsync(found)).map(({ manifest, path }) => `${manifest.id}:${path}`);
  };
  assert.deepEqual(await find('*.key'), ['first:deep/x.key', 'second:deep/x.key', 'second:y.key']);
  assert.deepEqual(await find('sub'), ['first:barren/sub', 'second:barren/sub']);
  assert.deepEqual(await find('barren/**/more'), ['first:barren/sub/more', 'second:barren/sub/more']);
  assert.deepEqual(await find('nothing'), []);
});

test('find reads a directory without matches once, however many snapshots hold it', async (t) => {
  const repository = await memoryRepository(t);
  const manifests: SnapshotManifest[] = [];
  for (const id of ['a', 'b', 'c'])
    manifests.push(await storeTree(t, repository, { shared: { x: 'x', y: { z: 'z' } }, [id]: id }, id));
  const read = t.mock.method(repository, 'readObject');
  await Array.fromAsync(findEntries(repository, manifests, parseGlob('nothing'), t.signal));
  // Three roots, and `shared` with `shared/y` once.
  assert.equal(read.mock.callCount(), 5);
});

test('a comparison tells what was added, removed and changed, and how', async (t) => {
  const repository = await memoryRepository(t);
  const before = await storeTree(t, repository, {
    same: { big: 'unchanged' },
    dir: { content: 'old', mode: 'm', gone: 'g', link: 'l' },
    'was-dir': { inside: 'i' },
  });
  const after = await storeTree(t, repository, {
    same: { big: 'unchanged' },
    dir: {
      content: 'new content',
      mode: new StoredEntry('m', { mode: 0o600, uid: 7, mtimeNanos: 5 }),
      link: new StoredEntry('l', { extra: { sparse: true } }),
    },
    'was-dir': 'now a file',
    fresh: { deep: { file: 'f' } },
  });
  const [a, b] = [
    await resolvePath(repository, before, '', t.signal),
    await resolvePath(repository, after, '', t.signal),
  ];
  const differences = await Array.fromAsync(diffTrees(repository, a, b, t.signal));
  assert.deepEqual(
    differences.map(({ path, change, fields }) => [path, change, fields.join(',')]),
    [
      ['dir/content', 'changed', 'content,size'],
      ['dir/gone', 'removed', ''],
      ['dir/link', 'changed', 'extra'],
      ['dir/mode', 'changed', 'mode,owner,mtime'],
      ['fresh', 'added', ''],
      ['fresh/deep', 'added', ''],
      ['fresh/deep/file', 'added', ''],
      ['was-dir', 'changed', 'type'],
      ['was-dir/inside', 'removed', ''],
    ],
  );
});

test('equal trees have no differences and their directories are not read', async (t) => {
  const repository = await memoryRepository(t);
  const [a, b] = [await storeTree(t, repository, TREE), await storeTree(t, repository, TREE)];
  const read = t.mock.method(repository, 'readObject');
  const compared = diffTrees(
    repository,
    { entry: rootEntryOf(a), path: '' },
    { entry: rootEntryOf(b), path: '' },
    t.signal,
  );
  assert.deepEqual(await Array.fromAsync(compared), []);
  assert.equal(read.mock.callCount(), 0);
});
