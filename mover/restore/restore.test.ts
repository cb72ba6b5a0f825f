// Round trips: what was backed up comes back, attribute by attribute, whatever lies in the target already.
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, describe, test } from 'node:test';
import {
  SIGNAL,
  createTestRepository,
  restore,
  snapshotOf,
  snapshotOfEntries,
  storeDirectory,
} from '../../test/harness/restore-repository.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import {
  deepPath,
  describeTree,
  device,
  directory,
  fifo,
  file,
  hardLink,
  socket,
  sparseFile,
  symlink,
  tree,
  type TreeEntry,
} from '../../test/harness/tree.ts';
import { type ObjectId, listSnapshots } from '../../repo-format/index.ts';
import { kopiaAlgorithmNames, openKopiaAlgorithm } from '../../test/harness/golden-repository.ts';
import type { RestoreReceipt } from './receipt.ts';
import { hasSystemCalls } from '../posix/libc.ts';

const isRoot = process.geteuid?.() === 0;
const skip = hasSystemCalls() ? false : 'needs Linux system calls';

function randomBytes(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** Path and code of each failed entry, in order of paths. */
function failures(receipt: RestoreReceipt): string[][] {
  return receipt.failed.entries.map(({ path, code }) => [path, code]).sort(([a = ''], [b = '']) => (a < b ? -1 : 1));
}

async function roundTrip(t: TestContext, entries: Record<string, TreeEntry>): Promise<{ from: string; to: string }> {
  const from = tree(entries).temporary(t);
  const repository = await createTestRepository(t);
  const manifest = await snapshotOf(repository, from);
  const to = join(memoryFolder(t, 'target'), 'out');
  const receipt = await restore(repository, manifest, { target: to });
  assert.deepEqual(receipt.failed.entries, []);
  assert.deepEqual(receipt.attributes, []);
  assert.equal(receipt.status, 'complete');
  assert.deepEqual(receipt.restored, receipt.expected);
  return { from, to };
}

describe('a restored tree', { skip }, () => {
  test('is the tree that was backed up', async (t) => {
    const { from, to } = await roundTrip(t, {
      empty: file(''),
      small: file('hello', { mode: 0o640, mtimeNs: 1_600_000_000_123_456_789n }),
      large: file(randomBytes(2 << 20)),
      'a/b/c': file('deep'),
      'a/empty-directory': directory({ mode: 0o711, mtimeNs: 1_500_000_000_000_000_001n }),
      'a/read-only': directory({ mode: 0o555 }),
      'a/read-only/file': file('x', { mode: 0o400 }),
      link: symlink('a/b/c', { mtimeNs: 1_400_000_000_999_999_999n }),
      dangling: symlink('/no/such/place'),
      pipe: fifo({ mode: 0o600 }),
      sock: socket(),
      sticky: directory({ mode: 0o1777 }),
      '.': directory({ mode: 0o750, mtimeNs: 1_300_000_000_000_000_005n }),
    });
    assert.deepEqual(describeTree(to), describeTree(from));
  });

  test('keeps times before 1970 and past 2262', async (t) => {
    const { from, to } = await roundTrip(t, {
      old: file('x', { mtimeNs: -1_000_000_000_000_000_001n }),
      future: file('x', { mtimeNs: 10_000_000_000_000_000_001n }),
      'd/x': file('x'),
      d: directory({ mtimeNs: -5n }),
    });
    assert.deepEqual(describeTree(to), describeTree(from));
  });

  test('keeps names of 255 bytes, names that are not UTF-8, and paths past PATH_MAX', async (t) => {
    const { from, to } = await roundTrip(t, {
      ['n'.repeat(255)]: file('x'),
      'bad%FFname': file('y'),
      'tab\tnew\nline': file('z'),
      [`${deepPath('d'.repeat(200), 30)}/leaf`]: file('deep'),
    });
    assert.deepEqual(describeTree(to), describeTree(from));
  });

  test('has its hard links and holes', async (t) => {
    const { from, to } = await roundTrip(t, {
      'a/first': file('shared', { mode: 0o600 }),
      'b/second': hardLink('a/first'),
      third: hardLink('a/first'),
      bigOne: file(randomBytes(1 << 20, 7)),
      bigTwo: hardLink('bigOne'),
      holes: sparseFile(8 << 20, [[3 << 20, 'data']]),
      smallHoles: sparseFile(200_000, [[100_000, 'x']]),
      allHole: sparseFile(1 << 20),
    });
    assert.deepEqual(describeTree(to), describeTree(from));
    assert.equal(statSync(join(to, 'third')).ino, statSync(join(to, 'a/first')).ino);
    assert.ok(statSync(join(to, 'holes')).blocks <= 64, `${statSync(join(to, 'holes')).blocks} blocks`);
    assert.equal(statSync(join(to, 'allHole')).blocks, 0);
  });

  test('has its extended attributes, ACLs and capabilities', { skip: !isRoot && 'needs root' }, async (t) => {
    // version 2, then the entries of user::rw-, user:1:rwx, group::r--, mask::rwx, other::r--
    const acl = Buffer.from(
      '02000000' +
        '01000600ffffffff' +
        '0200070001000000' +
        '04000400ffffffff' +
        '10000700ffffffff' +
        '20000400ffffffff',
      'hex',
    );
    const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
    const { from, to } = await roundTrip(t, {
      plain: file('x', { xattrs: { 'user.note': 'hello', 'user.empty': '' } }),
      readOnly: file('x', { mode: 0o444, xattrs: { 'user.note': 'kept' } }),
      acl: file('x', { mode: 0o674, xattrs: { 'system.posix_acl_access': acl } }),
      capable: file('x', { mode: 0o755, xattrs: { 'security.capability': capability } }),
      d: directory({ mode: 0o775, xattrs: { 'user.dir': 'yes', 'system.posix_acl_default': acl } }),
      'd/inside': file('no ACL of its own'),
      link: symlink('plain', { xattrs: { 'trusted.link': 'l' } }),
    });
    assert.deepEqual(describeTree(to), describeTree(from));
  });

  test('has its owners, devices and setuid bits', { skip: !isRoot && 'needs root' }, async (t) => {
    const { from, to } = await roundTrip(t, {
      other: file('x', { uid: 1234, gid: 2345 }),
      setuid: file('x', { uid: 1234, gid: 2345, mode: 0o6755 }),
      link: symlink('x', { uid: 77, gid: 88 }),
      null: device('char', 1, 3, { mode: 0o666 }),
      disk: device('block', 259, 70_000, { mode: 0o660, gid: 6 }),
      d: directory({ uid: 1, gid: 2, mode: 0o2775 }),
      'd/e/f': file('y', { uid: 5 }),
    });
    assert.deepEqual(describeTree(to), describeTree(from));
  });

  test('needs several windows and threads without losing anything', async (t) => {
    const entries: Record<string, TreeEntry> = {};
    for (let i = 0; i < 3000; i++) entries[`d${i % 37}/f${i}`] = file(`content ${i % 500}`);
    for (let i = 0; i < 20; i++) entries[`large${i}`] = file(randomBytes(300_000 + i * 1000, i + 1));
    const { from, to } = await roundTrip(t, entries);
    assert.deepEqual(describeTree(to), describeTree(from));
  });

  test('comes from a repository with error correction too', async (t) => {
    const from = tree({ a: file(randomBytes(700_000)), b: file('small') }).temporary(t);
    const repository = await createTestRepository(t, { ecc: true });
    const manifest = await snapshotOf(repository, from);
    const to = join(memoryFolder(t, 'target'), 'out');
    const receipt = await restore(repository, manifest, { target: to });
    assert.equal(receipt.status, 'complete');
    assert.deepEqual(describeTree(to), describeTree(from));
  });
});

describe('a part of a snapshot', { skip }, () => {
  test('a sub-directory becomes the target', async (t) => {
    const from = tree({ 'a/b/c': file('x'), 'a/d': file('y') }).temporary(t);
    const repository = await createTestRepository(t);
    const manifest = await snapshotOf(repository, from);
    const to = join(memoryFolder(t, 'target'), 'out');
    await restore(repository, manifest, { target: to, subPath: 'a/' });
    assert.deepEqual(describeTree(to), describeTree(join(from, 'a')));
  });

  test('a file goes into a directory, or to the path given', async (t) => {
    const from = tree({ 'a/b': file('x', { mode: 0o600 }) }).temporary(t);
    const repository = await createTestRepository(t);
    const manifest = await snapshotOf(repository, from);
    const folder = memoryFolder(t, 'target');
    const { mtimeMs } = statSync(folder);
    await restore(repository, manifest, { target: folder, subPath: 'a/b' });
    await restore(repository, manifest, { target: join(folder, 'renamed'), subPath: 'a/b' });
    assert.deepEqual(readdirSync(folder).sort(), ['b', 'renamed']);
    assert.equal(readFileSync(join(folder, 'renamed'), 'utf8'), 'x');
    assert.ok(mtimeMs > 1_700_000_000_000, 'the folder that holds it keeps its own attributes');
  });

  test('a path that is not there is an error', async (t) => {
    const repository = await createTestRepository(t);
    const manifest = await snapshotOfEntries(repository, [{ name: 'a', content: 'x' }]);
    const target = join(memoryFolder(t, 'target'), 'out');
    await assert.rejects(restore(repository, manifest, { target, subPath: 'a/b' }), { code: 'RESTORE_PATH_NOT_FOUND' });
    assert.equal(existsSync(target), false);
  });
});

describe('what is in the target already', { skip }, () => {
  async function prepared(
    t: TestContext,
  ): Promise<{ run: (o?: object) => ReturnType<typeof restore>; from: string; to: string }> {
    const from = tree({ same: file('same'), other: file('new'), 'd/x': file('x'), l: symlink('same') }).temporary(t);
    const repository = await createTestRepository(t);
    const manifest = await snapshotOf(repository, from);
    const to = join(memoryFolder(t, 'target'), 'out');
    await restore(repository, manifest, { target: to });
    return { run: (o = {}) => restore(repository, manifest, { target: to, ...o }), from, to };
  }

  test('stays when it is as wanted', async (t) => {
    const { run, to } = await prepared(t);
    const before = statSync(join(to, 'same')).ino;
    const receipt = await run();
    assert.equal(receipt.restored.files, 0);
    assert.equal(receipt.unchanged.files, 3);
    assert.equal(receipt.unchanged.symlinks, 1);
    assert.equal(statSync(join(to, 'same')).ino, before);
  });

  test('is replaced when it differs, and only then', async (t) => {
    const { run, from, to } = await prepared(t);
    writeFileSync(join(to, 'other'), 'changed');
    chmodSync(join(to, 'same'), 0o600);
    const receipt = await run();
    assert.equal(receipt.restored.files, 1);
    assert.deepEqual(describeTree(to), describeTree(from));
  });

  test('is left alone with never', async (t) => {
    const { run, to } = await prepared(t);
    writeFileSync(join(to, 'other'), 'changed');
    const receipt = await run({ overwrite: 'never' });
    assert.deepEqual(receipt.kept, { count: 1, paths: ['other'] });
    assert.equal(receipt.status, 'complete');
    assert.equal(readFileSync(join(to, 'other'), 'utf8'), 'changed');
  });

  test('is replaced with always', async (t) => {
    const { run, from, to } = await prepared(t);
    const before = statSync(join(to, 'same')).ino;
    const receipt = await run({ overwrite: 'always' });
    assert.equal(receipt.restored.files, 3);
    assert.notEqual(statSync(join(to, 'same')).ino, before);
    assert.deepEqual(describeTree(to), describeTree(from));
  });

  test('extra entries go when asked for, without following links', async (t) => {
    const { run, from, to } = await prepared(t);
    const outside = memoryFolder(t, 'outside');
    writeFileSync(join(outside, 'precious'), 'x');
    mkdirSync(join(to, 'extra/deep'), { recursive: true });
    writeFileSync(join(to, 'extra/deep/file'), 'x');
    symlinkSync(outside, join(to, 'd', 'out'));
    assert.equal((await run()).deleted.count, 0);
    const receipt = await run({ deleteExtra: true });
    assert.equal(receipt.deleted.count, 2);
    assert.deepEqual(describeTree(to), describeTree(from));
    assert.equal(readFileSync(join(outside, 'precious'), 'utf8'), 'x');
  });

  test('what is to be left out is not restored, whatever it is, and what is there of it stays', async (t) => {
    const elsewhere = memoryFolder(t, 'elsewhere');
    const kinds = [directory(), file('x'), symlink(elsewhere)] as const;
    for (const kind of kinds) {
      const isFolder = kind === kinds[0];
      const spec = {
        a: file('a'),
        'd/.mark/deep': file('deep'),
        d: directory(),
        'd/.mark': directory(),
        '.mark': kind,
      };
      const from = tree(isFolder ? { ...spec, '.mark/old': file('old') } : spec).temporary(t);
      const repository = await createTestRepository(t);
      const manifest = await snapshotOf(repository, from);
      const to = memoryFolder(t, 'target');
      mkdirSync(join(to, '.mark'));
      writeFileSync(join(to, '.mark', 'new'), 'new');
      const options = { target: to, leaveOut: ['.mark', '.none'], deleteExtra: true, verify: true };
      const receipt = await restore(repository, manifest, options);
      assert.deepEqual([receipt.status, receipt.leftOut], ['complete', { count: 1, paths: ['.mark'] }]);
      assert.deepEqual([receipt.expected.files, receipt.restored.files, receipt.verified?.files], [2, 2, 2]);
      assert.deepEqual(readdirSync(join(to, '.mark')), ['new']);
      assert.equal(readFileSync(join(to, 'd/.mark/deep'), 'utf8'), 'deep', 'only directly below the root');
      const fresh = join(memoryFolder(t, 'fresh'), 'new');
      await restore(repository, manifest, { ...options, target: fresh });
      assert.deepEqual(readdirSync(fresh).sort(), ['a', 'd']);
    }
    assert.deepEqual(readdirSync(elsewhere), []);
  });

  test('a directory in the place of a file is a conflict, unless extras may go', async (t) => {
    const from = tree({ a: file('x'), b: directory(), 'b/c': file('y') }).temporary(t);
    const repository = await createTestRepository(t);
    const manifest = await snapshotOf(repository, from);
    const to = memoryFolder(t, 'target');
    mkdirSync(join(to, 'a/sub'), { recursive: true });
    writeFileSync(join(to, 'b'), 'a file');
    const receipt = await restore(repository, manifest, { target: to });
    assert.deepEqual(failures(receipt), [
      ['a', 'RESTORE_TYPE_CONFLICT'],
      ['b', 'EEXIST'],
    ]);
    assert.equal(receipt.status, 'partial');
    const again = await restore(repository, manifest, { target: to, deleteExtra: true });
    assert.equal(again.status, 'complete');
    assert.deepEqual(describeTree(to), describeTree(from));
  });

  test('a dry run says what would be done and does nothing', async (t) => {
    const { run, to } = await prepared(t);
    writeFileSync(join(to, 'other'), 'changed');
    const before = describeTree(to);
    const receipt = await run({ dryRun: true });
    assert.equal(receipt.dryRun, true);
    assert.equal(receipt.restored.files, 1);
    assert.deepEqual(describeTree(to), before);
  });

  test('a dry run into nothing makes nothing', async (t) => {
    const repository = await createTestRepository(t);
    const objectId = await storeDirectory(repository, [{ name: 'x', content: 'x' }]);
    const manifest = await snapshotOfEntries(repository, [
      { name: 'd', type: 'd', objectId },
      { name: 'f', content: 'abc' },
    ]);
    const target = join(memoryFolder(t, 'target'), 'out');
    const receipt = await restore(repository, manifest, { target, dryRun: true });
    assert.deepEqual(receipt.restored, receipt.expected);
    assert.equal(existsSync(target), false);
  });
});

describe('an interrupted restore', { skip }, () => {
  test('left unfinished files, which the next run replaces whatever the overwrite rule', async (t) => {
    const repository = await createTestRepository(t);
    const manifest = await snapshotOfEntries(repository, [
      { name: 'done', content: 'done' },
      { name: 'half', content: 'whole' },
      { name: 'mine', content: 'snapshot' },
    ]);
    const to = memoryFolder(t, 'target');
    writeFileSync(join(to, 'half'), 'wh');
    chmodSync(join(to, 'half'), 0o1600);
    writeFileSync(join(to, 'mine'), 'mine');
    writeFileSync(join(to, '.windlass-restore-1f'), 'left over');
    const receipt = await restore(repository, manifest, { target: to, overwrite: 'never' });
    assert.equal(readFileSync(join(to, 'half'), 'utf8'), 'whole');
    assert.equal(lstatSync(join(to, 'half')).mode & 0o7777, 0o644);
    assert.equal(readFileSync(join(to, 'mine'), 'utf8'), 'mine');
    assert.equal(receipt.leftoversRemoved, 1);
    assert.deepEqual(readdirSync(to).sort(), ['done', 'half', 'mine']);
  });

  test('an entry that has the name of a left-over is restored like any other', async (t) => {
    const repository = await createTestRepository(t);
    const manifest = await snapshotOfEntries(repository, [
      { name: '.windlass-restore-0', content: 'a' },
      { name: '.windlass-restore-1', content: 'b' },
      { name: 'x', content: 'c' },
    ]);
    const to = memoryFolder(t, 'target');
    for (const name of ['.windlass-restore-0', '.windlass-restore-1', 'x']) writeFileSync(join(to, name), 'old');
    const receipt = await restore(repository, manifest, { target: to });
    assert.equal(receipt.status, 'complete');
    assert.equal(readFileSync(join(to, '.windlass-restore-1'), 'utf8'), 'b');
    assert.equal(readFileSync(join(to, 'x'), 'utf8'), 'c');
  });

  test('stops when the signal aborts', async (t) => {
    const repository = await createTestRepository(t);
    const manifest = await snapshotOfEntries(repository, [{ name: 'a', content: 'x' }]);
    const controller = new AbortController();
    controller.abort();
    const target = memoryFolder(t, 'target');
    await assert.rejects(restore(repository, manifest, { target }, controller.signal), { name: 'AbortError' });
    assert.deepEqual(readdirSync(target), []);
  });
});

describe('a verified restore', { skip }, () => {
  test('compares every byte, also of what was there before', async (t) => {
    const entries = {
      a: file('same size'),
      large: file(randomBytes(900_000)),
      empty: file(''),
      l: symlink('a'),
      p: fifo(),
      holes: sparseFile(500_000, [[200_000, 'x']]),
      'd/x': hardLink('a'),
    };
    const from = tree(entries).temporary(t);
    const repository = await createTestRepository(t);
    const manifest = await snapshotOf(repository, from);
    const to = join(memoryFolder(t, 'target'), 'out');
    const first = await restore(repository, manifest, { target: to, verify: true });
    assert.equal(first.status, 'complete');
    assert.deepEqual(first.verified, { files: 5, bytes: 900_000 + 500_000 + 2 * 9, mismatches: 0 });
    const { mtimeMs } = statSync(join(to, 'large'));
    const bytes = readFileSync(join(to, 'large'));
    bytes[850_000] = (bytes[850_000] ?? 0) ^ 1;
    writeFileSync(join(to, 'large'), bytes);
    utimesSync(join(to, 'large'), mtimeMs / 1000, mtimeMs / 1000);
    const stat = statSync(join(from, 'large'), { bigint: true });
    const { AT_FDCWD, utimensat } = await import('../posix/libc.ts');
    utimensat(
      AT_FDCWD,
      join(to, 'large'),
      Number(stat.mtimeNs / 1_000_000_000n),
      Number(stat.mtimeNs % 1_000_000_000n),
    );
    const second = await restore(repository, manifest, { target: to, verify: true });
    assert.equal(second.unchanged.files, 4);
    assert.deepEqual(failures(second), [['large', 'RESTORE_VERIFY_FAILED']]);
    assert.equal(second.verified?.mismatches, 1);
    assert.equal(second.status, 'partial');
  });

  test('of kopia repositories of every algorithm finds no difference', async (t) => {
    for (const name of kopiaAlgorithmNames()) {
      const folder = memoryFolder(t, 'golden');
      const repository = await openKopiaAlgorithm(t, name, { readOnly: true, folder });
      const manifest = (await listSnapshots(repository.manifests, {}, SIGNAL)).at(-1);
      assert.ok(manifest);
      const receipt = await restore(repository, manifest, { target: join(folder, 'out'), verify: true });
      assert.equal(receipt.status, 'complete', `${name}: ${JSON.stringify(receipt.failed)}`);
      assert.equal(receipt.verified?.bytes, receipt.expected.bytes, name);
    }
  });
});

describe('a receipt', { skip }, () => {
  test('skipped attributes are not wanted', async (t) => {
    const repository = await createTestRepository(t);
    const manifest = await snapshotOfEntries(repository, [{ name: 'a', content: 'x', mode: 0o600, uid: 4711 }]);
    const target = join(memoryFolder(t, 'target'), 'out');
    const receipt = await restore(repository, manifest, { target, skip: ['owners', 'modes', 'times'] });
    const stat = statSync(join(target, 'a'));
    assert.equal(receipt.status, 'complete');
    assert.equal(stat.uid, process.geteuid?.());
    assert.equal(stat.mode & 0o777, 0o666 & ~process.umask());
    assert.ok(stat.mtimeMs > 1_700_000_000_000);
  });

  test('lists entries whose content is gone, and restores the others', async (t) => {
    const repository = await createTestRepository(t);
    const gone = 'aa'.repeat(16) as ObjectId;
    const manifest = await snapshotOfEntries(repository, [
      { name: 'a', content: 'x' },
      { name: 'lost', objectId: gone, size: 5 },
      { name: 'lostDirectory', type: 'd', objectId: `k${gone}` as typeof gone },
    ]);
    const target = join(memoryFolder(t, 'target'), 'out');
    const receipt = await restore(repository, manifest, { target });
    assert.equal(receipt.status, 'partial');
    assert.equal(receipt.failed.count, 2);
    assert.deepEqual(failures(receipt), [
      ['lost', 'CONTENT_NOT_FOUND'],
      ['lostDirectory', 'OBJECT_NOT_FOUND'],
    ]);
    assert.equal(readFileSync(join(target, 'a'), 'utf8'), 'x');
  });

  test('a second restore into the same target is refused', async (t) => {
    const repository = await createTestRepository(t);
    const manifest = await snapshotOfEntries(repository, [{ name: 'a', content: 'x' }]);
    const target = memoryFolder(t, 'target');
    const { openTarget } = await import('./target-root.ts');
    const { close } = await import('../posix/libc.ts');
    const { fd } = openTarget(target, false);
    await assert.rejects(restore(repository, manifest, { target }), { code: 'RESTORE_TARGET_BUSY' });
    close(fd);
    await restore(repository, manifest, { target });
  });

  test('a target that cannot be made is refused, where Node’s own way of making it never ends', async (t) => {
    const repository = await createTestRepository(t);
    const manifest = await snapshotOfEntries(repository, [{ name: 'a', content: 'x' }]);
    for (const target of ['/proc/no/such/folder', join('/dev/null', 'folder')]) {
      await assert.rejects(restore(repository, manifest, { target }), { code: 'RESTORE_TARGET_INVALID' });
    }
    const deep = join(memoryFolder(t, 'target'), 'made/level/by level');
    await restore(repository, manifest, { target: deep });
    assert.equal(readFileSync(join(deep, 'a'), 'utf8'), 'x');
  });

  test('a file as target is refused', async (t) => {
    const repository = await createTestRepository(t);
    const manifest = await snapshotOfEntries(repository, [{ name: 'a', content: 'x' }]);
    const target = join(memoryFolder(t, 'target'), 'file');
    writeFileSync(target, '');
    await assert.rejects(restore(repository, manifest, { target }), { code: 'RESTORE_TARGET_INVALID' });
    utimesSync(target, 1, 1);
  });
});
