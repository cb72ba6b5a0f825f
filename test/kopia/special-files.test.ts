// What kopia's entries cannot hold (hard links, devices, attributes, names that are not UTF-8, holes, far times) travels in our
// extra members. Stock kopia must not stumble over them: it restores and verifies such a snapshot without an error.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { scanTree } from '../harness/scan-tree.ts';
import {
  aclForUser,
  ACL_ACCESS,
  ACL_DEFAULT,
  CAP_NET_BIND_SERVICE,
  CAPABILITY,
  fileCapability,
} from '../harness/tree-attributes.ts';
import {
  deepPath,
  describeTree,
  device,
  directory,
  fifo,
  file,
  hardLink,
  rawName,
  socket,
  sparseFile,
  symlink,
  tree,
  type TreeEntry,
} from '../harness/tree.ts';
import { backUpByKopia, backUpByWindlass, createByWindlass, kopiaVerifiesAll, openPair } from './pair.ts';

const LONG_NAME = 'n'.repeat(255);
const SECOND = 1_000_000_000n;
const IS_ROOT = process.getuid?.() === 0;

/** Needs root. */
const ROOT_ENTRIES: Readonly<Record<string, TreeEntry>> = {
  'special/char': device('char', 1, 3),
  'special/block': device('block', 7, 99),
  'attributes/capable': file('#!', { xattrs: { [CAPABILITY]: fileCapability(CAP_NET_BIND_SERVICE) } }),
  'attributes/trusted': file('t', { xattrs: { 'trusted.note': 'for root' } }),
  'owners/other': file('o', { uid: 4321, gid: 8765, mode: 0o6755 }),
};

const ENTRIES: Readonly<Record<string, TreeEntry>> = {
  'plain/file': file('plain'),
  'plain/empty': file(),
  'plain/link': symlink('../plain/file'),
  [LONG_NAME]: file('long name'),
  // Kopia cannot restore paths beyond PATH_MAX, whoever backed them up; ours are tested with the mover.
  [`${deepPath('deep-folder-name', 150)}/bottom`]: file('deep'),
  [rawName('caf', 0xe9)]: file('latin1 name'),
  [rawName('caf', 0xe8)]: file('another'),
  'caf%E9': file('a name like a stand-in'),
  [rawName('d', 0xff, 'r/', 0xfe)]: file('below'),
  [rawName('l', 0xff)]: symlink('anywhere'),
  'links/first': file('linked three times'),
  'links/second': hardLink('links/first'),
  'other/third': hardLink('links/first'),
  'special/fifo': fifo({ mode: 0o620 }),
  'special/socket': socket(),
  sparse: sparseFile(64 << 20, [
    [0, Buffer.from('start')],
    [32 << 20, Buffer.from('middle')],
  ]),
  'sparse-to-the-end': sparseFile(5_000_001, []),
  'attributes/user': file('u', { xattrs: { 'user.colour': 'blue', 'user.empty': '' } }),
  'attributes/acl': file('a', { xattrs: { [ACL_ACCESS]: aclForUser(1234, 4) } }),
  'attributes/folder': directory({ xattrs: { 'user.kind': 'folder', [ACL_DEFAULT]: aclForUser(1234, 7) } }),
  'times/before-1970': file('b', { mtimeNs: -1n }),
  'times/past-2106': file('p', { mtimeNs: 5_000_000_000n * SECOND + 123n }),
  'times/past-int64': file('q', { mtimeNs: 10_000_000_000n * SECOND + 7n }),
  'times/folder-past-int64': directory({ mtimeNs: 10_000_000_000n * SECOND }),
};

function specialTree(path: string): string {
  return tree(IS_ROOT ? { ...ENTRIES, ...ROOT_ENTRIES } : ENTRIES).build(path);
}

test('kopia restores and verifies a snapshot with everything in it', async (t) => {
  const pair = openPair(t);
  await createByWindlass(pair.windlass, {});
  specialTree(pair.tree);
  const snapshot = await backUpByWindlass(pair.windlass, pair.tree);
  assert.equal(snapshot.rootEntry.summ?.numFailed, 0);
  await pair.kopia.connect();
  await kopiaVerifiesAll(pair.kopia);
  const theirs = pair.target('kopia-restored');
  await pair.kopia.quiet('snapshot', 'restore', snapshot.id, theirs);
  for (const folder of ['plain', 'links', 'other']) {
    const options = { directoryTimes: false, hardLinks: false };
    assert.deepEqual(scanTree(join(theirs, folder), options), scanTree(join(pair.tree, folder), options));
  }
  const contents = readdirSync(theirs)
    .filter((name) => name.startsWith('caf'))
    .map((name) => readFileSync(join(theirs, name), 'latin1'));
  assert.deepEqual(contents.sort(), ['a name like a stand-in', 'another', 'latin1 name']);
  assert.ok(existsSync(join(theirs, LONG_NAME)));
  const ours = pair.target('windlass-restored');
  await pair.windlass.ok('snapshot', 'restore', snapshot.id, ours, '--verify');
  assert.deepEqual(describeTree(ours), describeTree(pair.tree));
});

test('kopia continues a source whose snapshots hold extra members, and we continue its', async (t) => {
  const pair = openPair(t);
  await createByWindlass(pair.windlass, {});
  specialTree(pair.tree);
  const first = await backUpByWindlass(pair.windlass, pair.tree);
  await pair.kopia.connect();
  const theirs = await backUpByKopia(pair.kopia, join(pair.tree, 'plain'));
  const ours = await backUpByWindlass(pair.windlass, pair.tree);
  assert.notEqual(theirs.rootEntry.obj, ours.rootEntry.obj);
  assert.equal(ours.rootEntry.obj, first.rootEntry.obj, 'the same tree, the same id, extra members and all');
  const target = pair.target('restored');
  await pair.windlass.ok('snapshot', 'restore', ours.id, target);
  assert.deepEqual(describeTree(target), describeTree(pair.tree), 'nothing was lost by starting from kopia’s snapshot');
  await kopiaVerifiesAll(pair.kopia);
});

test('rewriting by kopia (pins, descriptions) keeps the extra members', async (t) => {
  const pair = openPair(t);
  await createByWindlass(pair.windlass, {});
  specialTree(pair.tree);
  const before = await backUpByWindlass(pair.windlass, pair.tree, '--tag', 'kind:special');
  await pair.kopia.connect();
  await pair.kopia.ok('snapshot', 'pin', before.id, '--add=keep');
  const target = pair.target('restored');
  await pair.windlass.ok('snapshot', 'restore', 'latest', target, '--source', 'user@host:/data');
  assert.deepEqual(describeTree(target), describeTree(pair.tree));
});
