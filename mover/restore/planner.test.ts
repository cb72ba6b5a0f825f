// Files that cannot become whole: nothing that looks finished is left of them, and the receipt says so.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, describe, test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { type Repository, type SnapshotManifest, parseDirectory } from '../../repo-format/index.ts';
import {
  SIGNAL,
  createTestRepository,
  restore,
  snapshotOf,
  snapshotOfEntries,
} from '../../test/harness/restore-repository.ts';
import { memoryFolder } from '../../test/harness/scratch.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import { AT_FDCWD, O_DIRECTORY, O_RDONLY, StatRecord, check, fstat, hasSystemCalls, openat } from '../posix/libc.ts';
import { AttributeWriter } from './attributes.ts';
import { DirectoryTree } from './directory-tree.ts';
import { TemporaryNames } from './entry-name.ts';
import { HardLinks } from './hard-links.ts';
import { LaneControl } from './lane.ts';
import { RestorePlanner } from './planner.ts';
import { ReceiptBuilder } from './receipt.ts';
import type { RunContext } from './run-context.ts';
import { DirectoryHandles, TargetDirectory } from './target-directory.ts';
import type { WindowDesk } from './window-desk.ts';

const skip = hasSystemCalls() ? false : 'needs Linux system calls';

function runOf(repository: Repository, handles: DirectoryHandles): RunContext {
  const policy = { owners: true, modes: true, times: true, xattrs: true, euid: 0, egid: 0, umask: 0 };
  return {
    finder: repository,
    wantSoon: () => undefined,
    readSmallObject: (id, signal) => repository.readObject(id, signal),
    clock: systemClock,
    handles,
    receipt: new ReceiptBuilder(),
    policy,
    attributes: new AttributeWriter(policy),
    control: new LaneControl(),
    temporaryNames: new TemporaryNames('run'),
    overwrite: 'if-different',
    deleteExtra: false,
    leftOut: new Set(),
    sparse: 'as-stored',
    dryRun: false,
    signal: SIGNAL,
  };
}

async function largeFile(t: TestContext, repository: Repository): Promise<SnapshotManifest> {
  const source = join(memoryFolder(t, 'source'), 'tree');
  mkdirSync(source);
  writeFileSync(join(source, 'large'), new SeededRandom(1).bytes(1 << 20));
  return snapshotOf(repository, source);
}

describe('files that cannot become whole', { skip }, () => {
  test('a large file whose planning fails halfway is removed, not finished', async (t) => {
    const repository = await createTestRepository(t);
    const { rootEntry } = await largeFile(t, repository);
    assert.ok(rootEntry !== null && rootEntry.objectId !== '');
    const [entry] = parseDirectory(await repository.readObject(rootEntry.objectId, SIGNAL)).entries;
    assert.ok(entry !== undefined);
    const target = memoryFolder(t, 'target');
    const handles = new DirectoryHandles(8);
    t.after(() => handles.close());
    const root = new TargetDirectory(undefined, new Uint8Array(0));
    const fd = check(openat(AT_FDCWD, target, O_RDONLY | O_DIRECTORY), 'openat', target);
    const identity = new StatRecord();
    check(fstat(fd, identity), 'fstat', target);
    handles.adopt(root, fd, identity);
    const run = runOf(repository, handles);
    const tree = new DirectoryTree(run);
    let pieces = 0;
    // As when the directory's handle had to be closed and somebody put another directory in its place.
    const desk = {
      fatal: undefined,
      hasRoom: () => true,
      addLargePiece: () => {
        if (++pieces === 2) throw new Error('the directory was replaced');
      },
    } as unknown as WindowDesk;
    const planner = new RestorePlanner(run, { tree, links: new HardLinks(run, tree), desk });
    await planner.planFile(root, entry, Buffer.from('large'), new Set());
    assert.equal(pieces, 2);
    assert.equal(run.receipt.failedCount, 1);
    assert.equal(run.receipt.restored.files, 0);
    assert.deepEqual(readdirSync(target), []);
  });

  test('a file whose object is shorter than its entry says is restored and reported', async (t) => {
    const repository = await createTestRepository(t);
    const manifest = await snapshotOfEntries(repository, [
      { name: 'short', content: 'abc', size: 5 },
      { name: 'whole', content: 'abc' },
    ]);
    const target = memoryFolder(t, 'target');
    const receipt = await restore(repository, manifest, { target });
    assert.equal(receipt.status, 'partial');
    assert.deepEqual(
      receipt.failed.entries.map(({ path, code }) => [path, code]),
      [['short', 'OBJECT_CORRUPT']],
    );
    assert.equal(readFileSync(join(target, 'short'), 'utf8'), 'abc');
  });
});
