// A backup says everything of a tree that the file system says, and says the same again when nothing has changed.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { BackupFixture } from '../../test/harness/backup-fixture.ts';
import {
  aclForUser,
  ACL_ACCESS,
  ACL_DEFAULT,
  CAPABILITY,
  CAP_NET_BIND_SERVICE,
  fileCapability,
} from '../../test/harness/tree-attributes.ts';
import {
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
} from '../../test/harness/tree.ts';

const IS_ROOT = process.geteuid?.() === 0;
const LONG = 'n'.repeat(255);

/** Every kind of entry and attribute; what only root can make is there when the tests run as root. */
function everything(): Record<string, TreeEntry> {
  const owned = IS_ROOT ? { uid: 1234, gid: 5678 } : {};
  return {
    '.': directory({ mode: 0o2775, mtimeNs: 1_600_000_000_123_456_789n, xattrs: { 'user.root': 'yes' } }),
    'plain.txt': file('hello', { mode: 0o640, mtimeNs: 1_500_000_000_000_000_001n, ...owned }),
    empty: file(''),
    'empty-directory': directory({ mode: 0o700, mtimeNs: 1n }),
    'sticky/inner': directory({ mode: 0o1777, mtimeNs: 12_345n, xattrs: { 'user.directory': Uint8Array.of(0, 255) } }),
    'sticky/inner/file': file('in there', { mode: 0o4755 }),
    'sticky/setgid': file('x', { mode: 0o2711 }),
    'no-mode': file('x', { mode: 0 }),
    'before-1970': file('old', { mtimeNs: -86_400_000_000_000n - 1n }),
    'after-2106': file('new', { mtimeNs: 5_000_000_000_999_999_999n }),
    epoch: file('zero', { mtimeNs: 0n }),
    'link-a': file('one file, three names', { xattrs: { 'user.shared': '1' } }),
    'sticky/link-b': hardLink('link-a'),
    'sticky/inner/link-c': hardLink('link-a'),
    'to-plain': symlink('plain.txt', { mtimeNs: 1_400_000_000_000_000_007n, ...owned }),
    'to-nowhere': symlink(`../${'x'.repeat(300)}/nowhere`),
    'to-bytes': symlink(rawName('t', 0xff, 'arget')),
    'linked-symlink': hardLink('to-plain'),
    holes: sparseFile(5 << 20, [
      [1 << 20, 'data'],
      [(4 << 20) + 17, 'more'],
    ]),
    'only-hole': sparseFile(3 << 20),
    'hole-at-end': sparseFile(1 << 20, [[0, 'begin']]),
    pipe: fifo({ mode: 0o620, mtimeNs: 99_000_000_000n }),
    socket: socket({ mode: 0o755 }),
    attributes: file('x', {
      xattrs: { 'user.empty': '', 'user.b': Uint8Array.of(1, 0, 2), 'user.a': 'a'.repeat(900) },
    }),
    acl: file('x', { mode: 0o640, xattrs: { [ACL_ACCESS]: aclForUser(4242, 6) } }),
    'default-acl': directory({ xattrs: { [ACL_DEFAULT]: aclForUser(4242, 5) } }),
    [LONG]: file('long name'),
    [`deep/${LONG}/${LONG}`]: directory(),
    [`deep/${LONG}/${LONG}/leaf`]: file('leaf'),
    'with "quotes" \\ <&> \u2028 é 😀': file('json'),
    'new\nline\ttab\u0001': file('control'),
    ...(IS_ROOT
      ? {
          capable: file('x', { mode: 0o755, xattrs: { [CAPABILITY]: fileCapability(CAP_NET_BIND_SERVICE) } }),
          null: device('char', 1, 3, { mode: 0o666 }),
          'large-numbers': device('block', 259, 1_000_000, { mode: 0o660, ...owned }),
          trusted: file('x', { xattrs: { 'trusted.windlass': 'root only' } }),
        }
      : {}),
  };
}

test('every fact of every kind of entry is stored', async (t) => {
  const root = tree(everything()).temporary(t);
  const fixture = await BackupFixture.create(t);
  const { manifest, errors, consistency } = await fixture.backUp(root);
  assert.deepEqual(errors, []);
  assert.deepEqual(consistency, { status: 'exact', changed: 0, vanished: 0, rereads: 0, paths: [] });
  assert.deepEqual(await fixture.describe(manifest), describeTree(root));
});

test('an unchanged tree gives the same root object, with hints, without, and without a parent', async (t) => {
  const root = tree(everything()).temporary(t);
  const fixture = await BackupFixture.create(t, { hints: true });
  const first = await fixture.backUp(root);
  const second = await fixture.backUp(root);
  const third = await fixture.backUp(root, { parent: 'none', parallel: 1 });
  const fourth = await fixture.backUp(root, { forceHashPercent: 100 });
  for (const { manifest } of [second, third, fourth]) {
    assert.equal(manifest.rootEntry?.objectId, first.manifest.rootEntry?.objectId);
  }
  assert.equal(second.newContents, 1, 'only the manifest');
});

test('times that int64 nanoseconds cannot hold are exact too', async (t) => {
  const entries = {
    '.': directory({ mtimeNs: 9_300_000_000_000_000_001n }),
    far: file('x', { mtimeNs: 10_000_000_000_000_000_001n }),
    'directory/in': directory({ mtimeNs: 9_400_000_000_000_000_002n }),
  };
  const root = tree(entries).temporary(t);
  const found = describeTree(root);
  if (found['far']?.mtimeNs !== '10000000000000000001') return t.skip('this file system has no such times');
  const fixture = await BackupFixture.create(t);
  const { manifest } = await fixture.backUp(root);
  // The root's own time is in its directory object, which a manifest cannot hold.
  assert.deepEqual(await fixture.describe(manifest), found);
  const again = await fixture.backUp(root);
  assert.equal(again.manifest.rootEntry?.objectId, manifest.rootEntry?.objectId);
  assert.equal(again.manifest.stats.cachedFiles, 1);
});

test('names that are not UTF-8 get stand-ins that do not depend on anything but the names', async (t) => {
  const root = tree({
    [rawName('caf', 0xe9)]: file('latin1'),
    'caf%E9': file('the real one'),
    'caf%E9~1': file('and another'),
    [rawName(0xff)]: file('ff'),
    [rawName(0xed, 0xa0, 0x80)]: file('a surrogate'),
    [rawName('dir', 0x80)]: directory(),
    [`${rawName('dir', 0x80)}/${rawName(0x80)}`]: file('in there'),
    [rawName(...Array.from({ length: 255 }, () => 0xfe))]: file('long'),
    [`${rawName(...Array.from({ length: 254 }, () => 0xfe))}x`]: file('long too'),
  }).temporary(t);
  const fixture = await BackupFixture.create(t);
  const { manifest } = await fixture.backUp(root);
  assert.deepEqual(await fixture.describe(manifest), describeTree(root));
  const { entries } = await fixture.directory(manifest.rootEntry);
  const names = entries.map(({ name }) => name);
  assert.ok(names.includes('caf%E9~2'), names.join());
  assert.equal(new Set(names).size, names.length);
  // A stand-in must be a possible file name, or kopia's restore stops there.
  for (const name of names) assert.ok(Buffer.byteLength(name) <= 255, name);
  const again = await fixture.backUp(root);
  assert.equal(again.manifest.rootEntry?.objectId, manifest.rootEntry?.objectId);
  assert.equal(again.manifest.stats.cachedFiles, 8);
});

test('holes are not read', async (t) => {
  const size = 64 << 20;
  const root = tree({
    holes: sparseFile(size, [[30 << 20, 'x'.repeat(4096)]]),
    small: sparseFile(8 << 20, [[0, 'y']]),
  }).temporary(t);
  const fixture = await BackupFixture.create(t);
  let read = 0;
  const { manifest } = await fixture.backUp(root, { progress: ({ hashedBytes }) => (read = hashedBytes) });
  assert.ok(read > 0 && read < 1 << 20, `${read} bytes read`);
  assert.deepEqual(await fixture.describe(manifest), describeTree(root));
});

test('a source that is a symlink to a directory is that directory', async (t) => {
  const root = tree({ real: directory({ mode: 0o751 }), 'real/file': file('x'), link: symlink('real') }).temporary(t);
  const fixture = await BackupFixture.create(t);
  const { manifest } = await fixture.backUp(`${root}/link`);
  assert.deepEqual(await fixture.describe(manifest), describeTree(`${root}/real`));
});
