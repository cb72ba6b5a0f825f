// A restore that is killed, aborted or refused attributes: in a process of its own, because it must be able to die or to be
// another user.
import assert from 'node:assert/strict';
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  type EntryLiteral,
  createTestRepository,
  restore,
  snapshotOfEntries,
} from '../../test/harness/restore-repository.ts';
import { runCommand } from '../../test/harness/run-command.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import { describeTree } from '../../test/harness/tree.ts';
import type { Repository, SnapshotManifest } from '../../repo-format/index.ts';
import { hasSystemCalls } from '../posix/libc.ts';
import type { RestoreReceipt } from './receipt.ts';

const skip = hasSystemCalls() ? false : 'needs Linux system calls';

async function manyFiles(
  t: TestContext,
): Promise<{ folder: string; repository: Repository; manifest: SnapshotManifest }> {
  const folder = memoryFolder(t, 'interrupted');
  const repository = await createTestRepository(t, { folder: join(folder, 'repo') });
  const entries: EntryLiteral[] = [];
  for (let i = 0; i < 4000; i++) entries.push({ name: `f${i}`, content: `content of ${i}` });
  const piece = await repository.writeContent('', Buffer.alloc(100_000, 'p'), 'none', new AbortController().signal);
  const list = `{"stream":"kopia:indirect","entries":[{"l":100000,"o":"${piece}"},{"s":100000,"l":100000,"o":"${piece}"}]}`;
  const large = await repository.writeContent('x', Buffer.from(list), 'none', new AbortController().signal);
  for (let i = 0; i < 20; i++) entries.push({ name: `large${i}`, objectId: `I${large}` as never, size: 200_000 });
  return { folder, repository, manifest: await snapshotOfEntries(repository, entries) };
}

/** Restores in a process of its own: argv is repository, root object, target. */
const RESTORE = `
import { openFilesystemStorage, Repository } from ${JSON.stringify(fileURLToPath(new URL('../../repo-format/index.ts', import.meta.url)))};
import { restoreSnapshot } from ${JSON.stringify(fileURLToPath(new URL('../index.ts', import.meta.url)))};
import { manifestOf } from ${JSON.stringify(fileURLToPath(new URL('../../test/harness/restore-repository.ts', import.meta.url)))};
import { cheapKeys } from ${JSON.stringify(fileURLToPath(new URL('../../test/harness/cheap-keys.ts', import.meta.url)))};
import { systemClock } from ${JSON.stringify(fileURLToPath(new URL('../../base/clock.ts', import.meta.url)))};
import { systemRandom } from ${JSON.stringify(fileURLToPath(new URL('../../base/random.ts', import.meta.url)))};
const [path, root, target, uid] = process.argv.slice(-4);
const deps = { clock: systemClock, random: systemRandom };
const signal = new AbortController().signal;
const storage = await openFilesystemStorage({ path }, deps);
const repository = await Repository.open({ storage, password: 'test', readOnly: true }, { ...deps, deriveKey: cheapKeys }, signal);
if (uid !== '') { process.setgroups([]); process.setgid(Number(uid)); process.setuid(Number(uid)); }
process.stdout.write('started\\n');
const receipt = await restoreSnapshot(repository, { manifest: manifestOf(root), target, parallel: 2 }, deps, signal);
process.stdout.write(JSON.stringify(receipt) + '\\n');
`;

function restoreElsewhere(
  at: { folder: string; manifest: SnapshotManifest },
  target: string,
  options: { uid?: string; killWhen?: () => boolean } = {},
): ReturnType<typeof runCommand> {
  const root = at.manifest.rootEntry?.objectId ?? '';
  const script = join(at.folder, 'restore.mjs');
  writeFileSync(script, RESTORE);
  return runCommand([process.execPath, script, join(at.folder, 'repo'), root, target, options.uid ?? ''], {
    onStart: (child) => {
      const { killWhen } = options;
      if (killWhen === undefined) return;
      const timer = setInterval(() => {
        if (child.exitCode === null && !killWhen()) return;
        child.kill('SIGKILL');
        clearInterval(timer);
      }, 1);
    },
  });
}

function filesIn(folder: string): number {
  try {
    return readdirSync(folder).length;
  } catch {
    return 0;
  }
}

describe('a restore that was interrupted', { skip }, () => {
  test('by kill -9 goes on with what is missing, and leaves nothing behind', async (t) => {
    const { folder, repository, manifest } = await manyFiles(t);
    const target = join(folder, 'target');
    const killed = await restoreElsewhere({ folder, manifest }, target, { killWhen: () => filesIn(target) > 300 });
    assert.equal(killed.signal, 'SIGKILL', killed.stderr);
    const receipt = await restore(repository, manifest, { target, overwrite: 'if-different' });
    assert.equal(receipt.status, 'complete');
    assert.ok(receipt.unchanged.files > 0, 'everything was written again');
    assert.equal(receipt.unchanged.files + receipt.restored.files, 4020);
    const whole = join(folder, 'whole');
    await restore(repository, manifest, { target: whole });
    assert.deepEqual(describeTree(target), describeTree(whole));
  });

  test('by an abort stops within a second and can go on', async (t) => {
    const { folder, repository, manifest } = await manyFiles(t);
    const target = join(folder, 'target');
    const controller = new AbortController();
    const watch = setInterval(() => filesIn(target) > 100 && controller.abort(), 1);
    const run = restore(repository, manifest, { target, parallel: 1 }, controller.signal);
    try {
      await assert.rejects(run, { name: 'AbortError' });
    } finally {
      clearInterval(watch);
    }
    assert.ok(filesIn(target) < 4020, 'it ran to its end');
    assert.equal((await restore(repository, manifest, { target })).status, 'complete');
  });
});

describe(
  'a restore by an unprivileged user',
  { skip: process.geteuid?.() === 0 ? skip : 'needs root to become one' },
  () => {
    test('says which owners it could not set, and why', async (t) => {
      const folder = memoryFolder(t, 'unprivileged');
      const { chmodSync, chownSync, mkdirSync } = await import('node:fs');
      chmodSync(folder, 0o755);
      const repository = await createTestRepository(t, { folder: join(folder, 'repo') });
      const manifest = await snapshotOfEntries(repository, [
        { name: 'mine', content: 'x', uid: 4711, gid: 4711 },
        { name: 'roots', content: 'y', uid: 0, gid: 0, mode: 0o4755 },
        { name: 'null', extra: { special: { type: 'char', major: 1, minor: 3 } }, size: 0 },
        {
          name: 'readOnly',
          content: 'z',
          uid: 4711,
          gid: 4711,
          mode: 0o444,
          extra: { xattrs: [{ name: Buffer.from('user.a'), value: Buffer.from('1') }] },
        },
      ]);
      const target = join(folder, 'target');
      mkdirSync(target);
      chownSync(target, 4711, 4711);
      const { execFileSync } = await import('node:child_process');
      execFileSync('chmod', ['-R', 'a+rX', join(folder, 'repo')]);
      const run = await restoreElsewhere({ folder, manifest }, target, { uid: '4711' });
      assert.equal(run.code, 0, run.stderr);
      const receipt = JSON.parse(run.stdout.split('\n')[1] ?? '') as RestoreReceipt;
      assert.equal(receipt.status, 'partial');
      const refused = receipt.attributes.map(({ attribute, errno, paths }) => [
        attribute,
        errno,
        paths.includes('roots'),
      ]);
      assert.deepEqual(
        refused.filter(([, , isRoots]) => isRoots),
        [
          ['owner', 'EPERM', true],
          ['group', 'EPERM', true],
          ['mode', 'EPERM', true],
        ],
      );
      assert.equal(statSync(join(target, 'roots')).mode & 0o7777, 0o755);
      assert.deepEqual(
        receipt.failed.entries.map(({ path, code }) => [path, code]),
        [['null', 'EPERM']],
      );
      assert.equal(receipt.restored.files, 3);
    });
  },
);
