// Trees that change while they are backed up, and trees that cannot all be read: never a crash, never a file from outside,
// and the report tells.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, readdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';

import { BackupFixture } from '../../test/harness/backup-fixture.ts';
import { childCommand, childOutcome } from '../../test/harness/run-backup-child.ts';
import { runCommand } from '../../test/harness/run-command.ts';
import { describeTree, directory, file, tree } from '../../test/harness/tree.ts';

const IS_ROOT = process.geteuid?.() === 0;
const NOBODY = 65_534;

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Keeps changing the tree until told to stop: every kind of swap there is, always inside `root`. */
const DISTURBER = `
const fs = require('node:fs'), path = require('node:path'), { workerData, parentPort } = require('node:worker_threads');
const { root, secret, stop } = workerData;
// A FIFO without a reader must not hold the disturber itself.
const NO_WAIT = fs.constants.O_WRONLY | fs.constants.O_APPEND | fs.constants.O_NONBLOCK;
let seed = 1;
const below = (n) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
const quiet = (work) => { try { work(); } catch {} };
const place = () => path.join(root, 'd' + below(4), 's' + below(4));
parentPort.postMessage('started');
while (Atomics.load(stop, 0) === 0) {
  const at = path.join(place(), 'f' + below(10));
  switch (below(9)) {
    case 0: quiet(() => { fs.rmSync(at); fs.symlinkSync(secret, at); }); break;
    case 1: quiet(() => { fs.rmSync(at, { recursive: true }); fs.mkdirSync(at); }); break;
    case 2: quiet(() => { fs.rmSync(at, { recursive: true }); fs.writeFileSync(at, 'inside'.repeat(below(5000))); }); break;
    case 3: quiet(() => fs.truncateSync(at, below(30000))); break;
    case 4: quiet(() => { const fd = fs.openSync(at, NO_WAIT); try { fs.writeSync(fd, 'inside'); } finally { fs.closeSync(fd); } }); break;
    case 5: quiet(() => { const dir = place(); fs.renameSync(dir, dir + '.moved'); fs.symlinkSync(path.dirname(secret), dir); fs.rmSync(dir); fs.renameSync(dir + '.moved', dir); }); break;
    case 6: quiet(() => { const top = path.join(root, 'd' + below(4)); fs.renameSync(top, top + '.moved'); fs.symlinkSync(path.dirname(secret), top); fs.rmSync(top); fs.renameSync(top + '.moved', top); }); break;
    case 7: if (below(20) === 0) quiet(() => { fs.rmSync(at, { recursive: true }); require('node:child_process').spawnSync('mkfifo', [at]); }); break;
    case 8: quiet(() => { fs.rmSync(place(), { recursive: true }); }); quiet(() => { const dir = place(); fs.mkdirSync(dir); for (let i = 0; i < 10; i++) fs.writeFileSync(path.join(dir, 'f' + i), 'inside'); }); break;
  }
}
`;

async function disturbed<T>(
  t: TestContext,
  workerData: { root: string; secret: string },
  work: () => Promise<T>,
): Promise<T> {
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(DISTURBER, { eval: true, workerData: { ...workerData, stop } });
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  await new Promise((resolve) => worker.once('message', resolve));
  try {
    return await work();
  } finally {
    Atomics.store(stop, 0, 1);
    await ended;
  }
}

test('a tree that changes all the while is backed up without a crash and without a byte from outside', async (t) => {
  const entries = Object.fromEntries(
    Array.from({ length: 160 }, (_, i) => [
      `d${i % 4}/s${(i >> 2) % 4}/f${i >> 4}`,
      file('inside'.repeat((i * 37) % 2000)),
    ]),
  );
  const root = tree(entries).temporary(t);
  const outside = tree({ secret: file('OUTSIDE'), 's0/f0': file('OUTSIDE'), f1: file('OUTSIDE') }).temporary(t);
  const fixture = await BackupFixture.create(t, { hints: true });
  await fixture.backUp(root);
  const before = descriptors();
  let unsteady = 0;
  await disturbed(t, { root, secret: join(outside, 'secret') }, async () => {
    for (let run = 0; run < 3; run++) {
      const { manifest, consistency, errors } = await fixture.backUp(root, { parent: run % 2 === 0 ? 'none' : 'auto' });
      if (consistency.status !== 'exact') unsteady++;
      assert.equal(
        consistency.paths.length,
        Math.min(1000, consistency.changed) + Math.min(1000, consistency.vanished),
      );
      assert.equal(manifest.rootEntry?.summary?.numFailed, errors.length);
      const { extra } = await fixture.directory(manifest.rootEntry);
      assert.deepEqual(extra.consistency ?? { changed: 0, vanished: 0 }, {
        changed: consistency.changed,
        vanished: consistency.vanished,
      });
      // Reads every file of the snapshot: what is stored is whole, and sizes are those of what was read.
      await fixture.assertNowhere(manifest, 'OUTSIDE');
    }
  });
  assert.ok(unsteady > 0, 'nothing was disturbed: the test tested nothing');
  assert.equal(descriptors(), before);
  const { manifest } = await fixture.backUp(root);
  assert.deepEqual(await fixture.describe(manifest), describeTree(root));
});

test('a file that grows while it is read is marked, counted, and read again next time', async (t) => {
  const root = tree({ steady: file('x'), growing: file('y'.repeat(3 << 20)) }).temporary(t);
  const fixture = await BackupFixture.create(t, { hints: true });
  const growing = join(root, 'growing');
  const { manifest, consistency } = await whileGrowing(growing, async () => {
    for (;;) {
      const result = await fixture.backUp(root, { maxRereads: 1 });
      // On a busy machine the writer may have stood still for the moment that counts.
      if (result.consistency.changed > 0) return result;
    }
  });
  assert.deepEqual(consistency, { status: 'changed', changed: 1, vanished: 0, rereads: 1, paths: ['growing'] });
  assert.equal((await fixture.entry(manifest, 'growing')).extra?.changed, true);
  truncateSync(growing, (await fixture.entry(manifest, 'growing')).size);
  const again = await fixture.backUp(root);
  assert.equal(again.consistency.status, 'exact');
  assert.equal((await fixture.entry(again.manifest, 'growing')).extra, undefined);
  assert.deepEqual(await fixture.describe(again.manifest), describeTree(root));
});

async function whileGrowing<T>(path: string, work: () => Promise<T>): Promise<T> {
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(GROWER, { eval: true, workerData: { path, stop } });
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  await new Promise((resolve) => worker.once('message', resolve));
  try {
    return await work();
  } finally {
    Atomics.store(stop, 0, 1);
    await ended;
  }
}

const GROWER = `
const fs = require('node:fs'), { workerData: { path, stop }, parentPort } = require('node:worker_threads');
parentPort.postMessage('started');
while (Atomics.load(stop, 0) === 0) fs.appendFileSync(path, 'z');
`;

test('a root that is not there, is no directory, or goes away is SOURCE_UNREADABLE and leaves nothing', async (t) => {
  const root = tree({ file: file('x'), directory: directory() }).temporary(t);
  const fixture = await BackupFixture.create(t);
  // The first attempt starts a session, whose journal stays open.
  await assert.rejects(fixture.backUp(join(root, 'missing')), { code: 'SOURCE_UNREADABLE' });
  const before = descriptors();
  await assert.rejects(fixture.backUp(join(root, 'missing')), { code: 'SOURCE_UNREADABLE' });
  await assert.rejects(fixture.backUp('/dev/null'), { code: 'SOURCE_UNREADABLE' });
  assert.deepEqual(await fixture.list(), []);
  assert.equal(descriptors(), before);
});

interface Locked {
  readonly fixture: BackupFixture;
  readonly root: string;
  readonly run: (options?: object) => Promise<ReturnType<typeof childOutcome>>;
}

/** A tree of which an unprivileged user cannot read all, and a way to back it up as one. */
async function lockedTree(t: TestContext): Promise<Locked> {
  const root = tree({
    readable: file('x'),
    'sub/readable': file('y'),
    'sub/secret': file('no', { mode: 0 }),
    secret: file('no', { mode: 0o200 }),
    'closed/file': file('z'),
    'no-search/file': file('z'),
    'sub/closed/file': file('z'),
  }).temporary(t);
  const fixture = await BackupFixture.create(t);
  if (IS_ROOT) own(root, fixture.folder);
  chmodSync(join(root, 'closed'), 0o300);
  chmodSync(join(root, 'sub/closed'), 0);
  chmodSync(join(root, 'no-search'), 0o600);
  const asNobody = IS_ROOT ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : [];
  const run = async (options: object = {}): Promise<ReturnType<typeof childOutcome>> => {
    const result = await runCommand([...asNobody, ...childCommand(fixture.folder, root, options)], {
      env: { HOME: fixture.folder },
    });
    assert.equal(result.code, 0, result.stderr);
    return childOutcome(result.stdout);
  };
  return { fixture, root, run };
}

function own(...folders: readonly string[]): void {
  for (const folder of folders) spawnSync('chown', ['-R', `${NOBODY}:${NOBODY}`, folder]);
}

const UNREADABLE = [
  { path: 'closed', error: 'open: EACCES', code: 'EACCES' },
  { path: 'no-search/file', error: 'stat: EACCES', code: 'EACCES' },
  { path: 'secret', error: 'open: EACCES', code: 'EACCES' },
  { path: 'sub/closed', error: 'open: EACCES', code: 'EACCES' },
  { path: 'sub/secret', error: 'open: EACCES', code: 'EACCES' },
];

test('what cannot be read is listed with path and errno, in the result and in the snapshot', async (t) => {
  const { fixture, run } = await lockedTree(t);
  const outcome = await run();
  assert.deepEqual(outcome.errors, UNREADABLE);
  assert.equal(outcome.leaked, 0);
  await fixture.refresh();
  const [manifest] = await fixture.list();
  assert.ok(manifest);
  assert.deepEqual(
    manifest.rootEntry?.summary?.errors,
    UNREADABLE.map(({ path, error }) => ({ path, error })),
  );
  assert.equal(manifest.rootEntry.summary.numFailed, 5);
  assert.equal(manifest.stats.errorCount, 5);
  assert.deepEqual(await fixture.paths(manifest), ['no-search', 'readable', 'sub', 'sub/readable']);
});

test('a limit on errors decides when what cannot be read fails the run', async (t) => {
  const { fixture, run } = await lockedTree(t);
  assert.equal((await run({ maxErrors: 4 })).failure?.code, 'SOURCE_TOO_MANY_ERRORS');
  await fixture.refresh();
  assert.deepEqual(await fixture.list(), []);
  const allowed = await run({ maxErrors: 5 });
  assert.equal(allowed.errors?.length, 5);
});

test('errors that a stored policy ignores are listed and do not count', async (t) => {
  const { fixture, run } = await lockedTree(t);
  await fixture.setPolicy({}, { errorHandling: { ignoreFileErrors: true, ignoreDirectoryErrors: true } });
  await fixture.setPolicy({ path: '/data/sub' }, { errorHandling: { ignoreDirectoryErrors: true } });
  if (IS_ROOT) own(fixture.folder);
  const outcome = await run({ failFast: true });
  assert.equal(outcome.failure?.code, 'SOURCE_TOO_MANY_ERRORS', 'a policy below applies as it is stored');
  const { errors } = await run();
  assert.deepEqual(
    errors?.map(({ path }) => path),
    ['sub/secret'],
  );
  await fixture.refresh();
  const [manifest] = await fixture.list();
  const summary = manifest?.rootEntry?.summary;
  assert.deepEqual([summary?.numFailed, summary?.numIgnoredErrors, summary?.errors?.length], [1, 4, 5]);
  assert.deepEqual([manifest?.stats.errorCount, manifest?.stats.ignoredErrorCount], [1, 4]);
});

test('an unreadable root fails the run', async (t) => {
  const { root, run } = await lockedTree(t);
  chmodSync(root, 0o300);
  assert.equal((await run()).failure?.code, 'SOURCE_UNREADABLE');
});
