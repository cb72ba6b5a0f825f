// What becomes of the packs of a run that was killed before it could index them.
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { test, type TestContext } from 'node:test';
import type { LogFields, Logger } from '../../base/logger.ts';
import { silentLogger } from '../../base/logger.ts';
import {
  type ContentRepository,
  type ContentRepositoryOptions,
  createContentRepository,
} from '../../test/harness/content-repository.ts';
import { createFaultyStorage, injectedError } from '../../test/harness/faulty-storage.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import type { BlobId } from '../blob/storage.ts';
import type { ContentId } from '../index/content-id.ts';
import type { ContentManager } from './content-manager.ts';

const HOUR_MS = 3600 * 1000;
const CONTENTS = 6;

interface Fixture {
  readonly repository: ContentRepository;
  /** Stored by the dead run, each in a pack of its own. */
  readonly ids: readonly ContentId[];
  readonly packs: readonly BlobId[];
}

function contentOf(number: number): Uint8Array {
  return new SeededRandom(number).bytes(500);
}

function writeAll(manager: ContentManager, signal: AbortSignal): Promise<ContentId[]> {
  return Promise.all(
    Array.from({ length: CONTENTS }, (_, number) => manager.write('', contentOf(number), 'none', signal)),
  );
}

/** A run that stored its packs and was killed before the index: closing a manager does no more than that. */
async function killedRun(t: TestContext, options: Partial<ContentRepositoryOptions> = {}): Promise<Fixture> {
  const repository = await createContentRepository(t, { kind: 'memory', packBytes: 300, ...options });
  const manager = await repository.open({ owner: 'dead' });
  const ids = await writeAll(manager, t.signal);
  await manager.storePacks(t.signal);
  await manager.close();
  const packs = (await repository.blobNames('p')) as BlobId[];
  assert.equal(packs.length, CONTENTS);
  assert.equal((await repository.blobNames('s')).length, 1);
  assert.equal(journals(repository).length, 1);
  return { repository, ids, packs };
}

function journals(repository: ContentRepository): string[] {
  return readdirSync(repository.journalFolder);
}

/** Runs again to the end; everything must be readable for others then. */
async function runAgain(fixture: Fixture, t: TestContext, more: { logger?: Logger } = {}): Promise<ContentManager> {
  const { repository, ids } = fixture;
  const manager = await repository.open({ gone: ['dead'], ...more });
  assert.deepEqual(await writeAll(manager, t.signal), ids);
  await manager.flush(t.signal);
  const reader = await repository.open({ readOnly: true });
  for (const [number, id] of ids.entries()) {
    assert.deepEqual(Buffer.from(await reader.readContent(id, t.signal)), Buffer.from(contentOf(number)));
  }
  return manager;
}

async function assertNothingLeft(repository: ContentRepository): Promise<void> {
  assert.deepEqual(journals(repository), []);
  assert.deepEqual(await repository.blobNames('s'), []);
  assert.deepEqual(repository.stagingFiles(), []);
}

for (const kind of ['memory', 'filesystem'] as const) {
  for (const version of [1, 3] as const) {
    test(`packs of a killed run are taken over: ${kind}, format version ${version}`, async (t) => {
      const fixture = await killedRun(t, { kind, version });
      const manager = await runAgain(fixture, t);
      assert.equal(manager.adoptedPacks, CONTENTS);
      assert.deepEqual(await fixture.repository.blobNames('p'), [...fixture.packs], 'nothing was stored twice');
      assert.equal((await fixture.repository.blobNames(version === 1 ? 'n' : 'xn')).length, 1, 'in one index blob');
      await assertNothingLeft(fixture.repository);
    });
  }
}

test('packs of a run that lives are its own', async (t) => {
  const { repository } = await killedRun(t);
  const manager = await repository.open({ gone: ['another'] });
  await writeAll(manager, t.signal);
  await manager.flush(t.signal);
  assert.equal(manager.adoptedPacks, 0);
  assert.equal((await repository.blobNames('p')).length, 2 * CONTENTS);
  assert.equal(journals(repository).length, 1);
  assert.equal((await repository.blobNames('s')).length, 1, 'its marker stays');
});

test('journals of another repository are left alone', async (t) => {
  const fixture = await killedRun(t);
  const foreign = await createContentRepository(t, { kind: 'memory' });
  const stray = await foreign.open({ owner: 'dead' });
  await stray.write('', contentOf(1), 'none', t.signal);
  await stray.storePacks(t.signal);
  await stray.close();
  const manager = await foreign.open({ gone: [] });
  await manager.startSession(t.signal);
  await manager.flush(t.signal);
  assert.equal(journals(foreign).length, 1);
  assert.equal((await runAgain(fixture, t)).adoptedPacks, CONTENTS);
});

test('a pack that is gone is stored again', async (t) => {
  const fixture = await killedRun(t);
  const [first] = fixture.packs;
  assert.ok(first !== undefined);
  await fixture.repository.storage.deleteBlob(first, t.signal);
  assert.equal((await runAgain(fixture, t)).adoptedPacks, CONTENTS - 1);
  assert.equal((await fixture.repository.blobNames('p')).length, CONTENTS);
  await assertNothingLeft(fixture.repository);
});

test('a pack of another length is not trusted', async (t) => {
  const fixture = await killedRun(t);
  const { storage } = fixture.repository;
  const [first] = fixture.packs;
  assert.ok(first !== undefined);
  const bytes = await storage.getBlob(first, undefined, t.signal);
  await storage.putBlob(first, bytes.subarray(0, -1), t.signal);
  assert.equal((await runAgain(fixture, t)).adoptedPacks, CONTENTS - 1);
  await assertNothingLeft(fixture.repository);
});

for (const [hours, adopted] of [
  [19, CONTENTS],
  [21, 0],
  [-21, 0],
] as const) {
  test(`packs stored ${hours} hours ago: ${adopted} are taken over`, async (t) => {
    const fixture = await killedRun(t);
    fixture.repository.clock.advance(hours * HOUR_MS);
    assert.equal((await runAgain(fixture, t)).adoptedPacks, adopted);
    await assertNothingLeft(fixture.repository);
  });
}

test('a snapshot that was never acknowledged does not appear', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory', packBytes: 1000 });
  const dead = await repository.open({ owner: 'dead' });
  const manifest = await dead.manifestBackend().writeContent('m', Buffer.from('a snapshot'), 'none', t.signal);
  const directory = await dead.write('k', Buffer.from('a directory'), 'none', t.signal);
  const data = await dead.write('', Buffer.from('a file whose pack is lost'), 'none', t.signal);
  await dead.storePacks(t.signal);
  await dead.close();
  for (const id of (await repository.blobNames('p')) as BlobId[]) await repository.storage.deleteBlob(id, t.signal);
  const manager = await repository.open({ gone: ['dead'] });
  await manager.startSession(t.signal);
  await manager.flush(t.signal);
  const index = await repository.loadIndex();
  assert.ok(index.findContent(directory) !== undefined);
  assert.equal(index.findContent(data), undefined);
  assert.equal(index.findContent(manifest), undefined);
  assert.deepEqual(await manager.manifestBackend().listManifestContents(t.signal), []);
  const again = await manager.manifestBackend().writeContent('m', Buffer.from('a snapshot'), 'none', t.signal);
  assert.equal(again, manifest);
  await manager.flush(t.signal);
  assert.deepEqual((await repository.loadIndex()).findContent(manifest)?.deleted, false);
});

test('a content deleted since is stored again, so that it lives', async (t) => {
  const fixture = await killedRun(t);
  const { repository, ids } = fixture;
  const [id] = ids;
  assert.ok(id !== undefined);
  repository.clock.advance(HOUR_MS);
  const other = await repository.open({ owner: 'other' });
  await other.write('', contentOf(0), 'none', t.signal);
  await other.flush(t.signal);
  await other.delete(id, t.signal);
  await other.flush(t.signal);
  assert.equal((await runAgain(fixture, t)).adoptedPacks, CONTENTS - 1);
  assert.equal((await repository.loadIndex()).findContent(id)?.deleted, false);
});

test('a run killed between its index and its tidying up brings nothing new', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory', packBytes: 300 });
  const faulty = createFaultyStorage(t, repository.storage);
  const dead = await repository.open({ owner: 'dead', storage: faulty.storage });
  const ids = await writeAll(dead, t.signal);
  // All is there, but the flush does not hear of it.
  faulty.plan({ method: 'putBlob', matching: (name) => name.startsWith('xn'), when: 'after', error: injectedError() });
  await assert.rejects(dead.flush(t.signal), { code: 'BLOB_IO' });
  await dead.close();
  const packs = (await repository.blobNames('p')) as BlobId[];
  const manager = await runAgain({ repository, ids, packs }, t);
  assert.equal(manager.adoptedPacks, 0);
  assert.equal((await repository.blobNames('xn')).length, 1);
  await assertNothingLeft(repository);
});

test('a flush that fails keeps what was taken over for the next run', async (t) => {
  const fixture = await killedRun(t);
  const { repository } = fixture;
  const faulty = createFaultyStorage(t, repository.storage);
  const second = await repository.open({ owner: 'dead too', gone: ['dead'], storage: faulty.storage });
  await second.startSession(t.signal);
  assert.equal(second.adoptedPacks, CONTENTS);
  faulty.plan({ method: 'putBlob', matching: (name) => name.startsWith('xn'), error: injectedError() });
  await assert.rejects(second.flush(t.signal), { code: 'BLOB_IO' });
  await second.close();
  assert.equal(journals(repository).length, 1);
  assert.equal((await repository.blobNames('s')).length, 1, 'of the first run, whose packs they are');
  assert.equal((await runAgain(fixture, t)).adoptedPacks, CONTENTS);
  await assertNothingLeft(repository);
});

test('a flush that fails at the index and is tried again indexes what was taken over', async (t) => {
  const fixture = await killedRun(t);
  const faulty = createFaultyStorage(t, fixture.repository.storage);
  const manager = await fixture.repository.open({ gone: ['dead'], storage: faulty.storage });
  await manager.startSession(t.signal);
  faulty.plan({ method: 'putBlob', matching: (name) => name.startsWith('xn'), error: injectedError() });
  await assert.rejects(manager.flush(t.signal), { code: 'BLOB_IO' });
  assert.equal((await manager.flush(t.signal)).contents, CONTENTS);
  await assertNothingLeft(fixture.repository);
  for (const id of fixture.ids) assert.equal((await manager.readContent(id, t.signal)).length, 500);
});

/** Remembers what was warned of. */
function listeningLogger(): { logger: Logger; warnings: string[] } {
  const warnings: string[] = [];
  const warn = (message: string, _fields?: LogFields): void => void warnings.push(message);
  return { logger: { ...silentLogger, warn }, warnings };
}

test('a store that cannot say what is there costs the journal nothing', async (t) => {
  const fixture = await killedRun(t);
  const { repository } = fixture;
  const faulty = createFaultyStorage(t, repository.storage);
  faulty.plan({ method: 'getMetadata', skip: 2, error: injectedError() });
  const { logger, warnings } = listeningLogger();
  const manager = await repository.open({ owner: 'second', gone: ['dead'], storage: faulty.storage, logger });
  await writeAll(manager, t.signal);
  await manager.flush(t.signal);
  assert.equal(manager.adoptedPacks, 2, 'those asked for before');
  assert.equal(warnings.length, 1);
  assert.equal(journals(repository).length, 1);
  assert.equal((await repository.loadIndex()).rowCount, CONTENTS);
  const third = await repository.open({ gone: ['dead', 'second'] });
  await third.startSession(t.signal);
  await third.flush(t.signal);
  assert.equal(third.adoptedPacks, 0, 'all is indexed by now');
  await assertNothingLeft(repository);
});

test('without a place for journals a run goes on without one', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  writeFileSync(repository.journalFolder, 'not a folder');
  const { logger, warnings } = listeningLogger();
  const manager = await repository.open({ logger });
  await writeAll(manager, t.signal);
  assert.equal((await manager.flush(t.signal)).contents, CONTENTS);
  assert.equal(warnings.length, 1);
});

test('runs that are killed one after the other add up', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory', packBytes: 300 });
  const gone: string[] = [];
  for (let run = 0; run < 3; run++) {
    const owner = `run ${run}`;
    const manager = await repository.open({ owner, gone: [...gone] });
    for (let number = 0; number <= run; number++) await manager.write('', contentOf(number), 'none', t.signal);
    await manager.storePacks(t.signal);
    await manager.close();
    gone.push(owner);
    assert.equal((await repository.blobNames('p')).length, run + 1, 'each stores only what is new');
  }
  const manager = await repository.open({ gone });
  await manager.startSession(t.signal);
  assert.equal(manager.adoptedPacks, 3);
  assert.equal((await manager.flush(t.signal)).contents, 3);
  await assertNothingLeft(repository);
});

test('staging files of a killed run go, those of others stay', async (t) => {
  const repository = await createContentRepository(t, { kind: 'filesystem', packBytes: 300 });
  const abandoned: string[] = [];
  for (const owner of ['dead', 'alive']) {
    const manager = await repository.open({ owner });
    await manager.write('', contentOf(1), 'none', t.signal);
    await manager.storePacks(t.signal);
    manager.writer.write('', Buffer.from(`unfinished, ${owner}`), 'none');
    manager.writer.write('k', Buffer.from(`unfinished, ${owner}`), 'none');
    abandoned.push(...manager.writer.abandon()); // as a kill leaves them
    await manager.close();
  }
  assert.equal(repository.stagingFiles().length, 4);
  const manager = await repository.open({ gone: ['dead'] });
  await manager.startSession(t.signal);
  const left = repository.stagingFiles();
  assert.equal(left.length, 2);
  assert.ok(left.every((name) => abandoned.slice(2).some((path) => path.endsWith(name))));
});
