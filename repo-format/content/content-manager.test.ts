import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { systemRandom } from '../../base/random.ts';
import { type ContentRepository, createContentRepository } from '../../test/harness/content-repository.ts';
import { createFaultyStorage } from '../../test/harness/faulty-storage.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import { openBlob } from '../epoch/encrypted-blob.ts';
import { contentKey, type ContentId } from '../index/content-id.ts';
import type { ContentManager } from './content-manager.ts';
import { ContentWriter } from './content-writer.ts';

const KINDS = ['memory', 'filesystem'] as const;

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

async function textOf(manager: ContentManager, id: ContentId, signal: AbortSignal): Promise<string> {
  return new TextDecoder().decode(await manager.readContent(id, signal));
}

for (const kind of KINDS) {
  for (const version of [1, 2, 3] as const) {
    test(`what is flushed is there for others: ${kind}, format version ${version}`, async (t) => {
      const repository = await createContentRepository(t, { kind, version });
      const manager = await repository.open();
      const random = new SeededRandom(1);
      const written = new Map<ContentId, Buffer>();
      for (let n = 0; n < 30; n++) {
        const bytes = random.bytes(random.below(900));
        written.set(await manager.write(n % 3 === 0 ? 'k' : '', bytes, 'zstd', t.signal), bytes);
      }
      const before = await repository.open();
      for (const id of written.keys()) assert.equal(before.find(id), undefined, 'not before the flush');
      const result = await manager.flush(t.signal);
      assert.equal(result.indexBlobs, 1);
      assert.equal(result.contents, written.size);
      assert.ok(result.packs >= 4, `${result.packs} packs`);
      const reader = await repository.open({ readOnly: true });
      await before.refresh(t.signal);
      for (const client of [manager, reader, before]) {
        for (const [id, bytes] of written) {
          assert.deepEqual(Buffer.from(await client.readContent(id, t.signal)), bytes);
        }
      }
      assert.deepEqual(await repository.blobNames('s'), [], 'the session is over');
      assert.deepEqual(repository.stagingFiles(), []);
    });
  }
}

test('a session has a marker, names its packs and ends with the flush', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const manager = await repository.open();
  const id = await manager.startSession(t.signal);
  assert.equal(await manager.startSession(t.signal), id);
  const [marker] = (await repository.blobNames('s')) as BlobId[];
  assert.ok(marker !== undefined && marker.endsWith(`-${id}`));
  const plain = openBlob(repository.cipher, marker, await repository.storage.getBlob(marker, undefined, t.signal));
  assert.equal((JSON.parse(new TextDecoder().decode(plain)) as { id: string }).id, id);
  await manager.write('', bytesOf('a'), 'none', t.signal);
  await manager.flush(t.signal);
  assert.deepEqual(await repository.blobNames('s'), []);
  for (const name of [...(await repository.blobNames('p')), ...(await repository.blobNames('xn'))]) {
    assert.ok(name.includes(`-${id}`), name);
  }
  assert.notEqual(await manager.startSession(t.signal), id, 'one flush, one session');
});

test('callers that start a session at once share one', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const manager = await repository.open();
  const ids = await Promise.all([1, 2, 3].map(() => manager.startSession(t.signal)));
  assert.equal(new Set(ids).size, 1);
  assert.equal((await repository.blobNames('s')).length, 1);
});

test('a session in which nothing was written leaves nothing behind', async (t) => {
  const repository = await createContentRepository(t, { kind: 'filesystem' });
  const manager = await repository.open();
  await manager.startSession(t.signal);
  assert.deepEqual(await manager.flush(t.signal), { indexBlobs: 0, packs: 0, contents: 0 });
  assert.deepEqual(await repository.blobNames('s'), []);
  await manager.startSession(t.signal);
  await manager.close();
  assert.deepEqual(await repository.blobNames(''), ['kopia.blobcfg', 'kopia.repository']);
  assert.deepEqual(repository.stagingFiles(), []);
});

test('closing drops what was not flushed, without a trace but packs to take over', async (t) => {
  for (const journals of [true, false]) {
    const repository = await createContentRepository(t, { kind: 'filesystem', packBytes: 1000 });
    const manager = await repository.open({ journals });
    await manager.write('', new Uint8Array(2000), 'none', t.signal);
    await manager.write('k', bytesOf('in an open pack'), 'none', t.signal);
    await manager.close();
    await manager.close();
    assert.deepEqual(repository.stagingFiles(), []);
    assert.equal((await repository.blobNames('p')).length, 1, 'the full pack was on its way');
    assert.equal((await repository.blobNames('s')).length, journals ? 1 : 0, 'kept for those who can take it over');
    await assert.rejects(manager.write('', bytesOf('late'), 'none', t.signal), { code: 'REPOSITORY_CLOSED' });
  }
});

test('a pack handed over after the end is removed', async (t) => {
  const repository = await createContentRepository(t, { kind: 'filesystem' });
  const manager = await repository.open();
  await manager.startSession(t.signal);
  manager.writer.write('', bytesOf('late'), 'none');
  const [pack] = manager.writer.takeOpenPacks();
  assert.ok(pack !== undefined);
  await manager.close();
  void manager.acceptPack(pack, t.signal);
  await manager.close();
  while (manager.packsInFlight > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(repository.stagingFiles(), []);
  assert.deepEqual(await repository.blobNames('p'), []);
});

test('a repository opened for reading is not written to', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const manager = await repository.open({ readOnly: true });
  await assert.rejects(manager.write('', bytesOf('x'), 'none', t.signal), { code: 'REPOSITORY_READ_ONLY' });
  assert.deepEqual(await manager.flush(t.signal), { indexBlobs: 0, packs: 0, contents: 0 });
  await manager.close();
  assert.deepEqual(await repository.blobNames(''), ['kopia.blobcfg', 'kopia.repository']);
});

test('a content is stored once, within a session, across sessions and across clients', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const manager = await repository.open();
  const id = await manager.write('', bytesOf('same'), 'none', t.signal);
  assert.equal(await manager.write('', bytesOf('same'), 'zstd', t.signal), id);
  assert.equal((await manager.flush(t.signal)).contents, 1);
  assert.equal(await manager.write('', bytesOf('same'), 'none', t.signal), id);
  assert.equal((await manager.flush(t.signal)).contents, 0);
  const other = await repository.open();
  assert.equal(await other.write('', bytesOf('same'), 'none', t.signal), id);
  assert.equal((await other.flush(t.signal)).contents, 0);
  assert.equal((await repository.blobNames('p')).length, 1);
});

test('what another client wrote is seen after a refresh, and what is pending stays pending', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const manager = await repository.open();
  const other = await repository.open();
  const mine = await manager.write('', bytesOf('mine'), 'none', t.signal);
  const theirs = await other.write('', bytesOf('theirs'), 'none', t.signal);
  await other.flush(t.signal);
  assert.equal(manager.find(theirs), undefined);
  const { revision } = manager;
  await manager.refresh(t.signal);
  assert.notEqual(manager.revision, revision);
  assert.equal(await textOf(manager, theirs, t.signal), 'theirs');
  assert.equal(manager.find(mine), undefined);
  assert.equal((await manager.flush(t.signal)).contents, 1);
  assert.equal(await textOf(manager, mine, t.signal), 'mine');
  assert.equal(await textOf(manager, theirs, t.signal), 'theirs');
});

test('a refresh that began before a flush does not hide what the flush brought', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const faulty = createFaultyStorage(t, repository.storage);
  const manager = await repository.open({ storage: faulty.storage });
  const id = await manager.write('', bytesOf('x'), 'none', t.signal);
  const flushed = Promise.withResolvers<void>();
  const listed = Promise.withResolvers<void>();
  // The refresh has its list, without the flush's index, and then dawdles.
  const dawdle = async (): Promise<void> => {
    listed.resolve();
    await flushed.promise;
  };
  faulty.plan({ method: 'listBlobs', when: 'after', matching: (name) => name.startsWith('xn'), callback: dawdle });
  const refreshing = manager.refresh(t.signal);
  await listed.promise;
  await manager.flush(t.signal);
  flushed.resolve();
  await refreshing;
  assert.equal(await textOf(manager, id, t.signal), 'x');
});

test('an index older than 15 minutes is read anew, before reading and before a session', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const manager = await repository.open();
  const other = await repository.open();
  const id = await other.write('', bytesOf('x'), 'none', t.signal);
  await other.flush(t.signal);
  repository.clock.advance(15 * 60 * 1000);
  await assert.rejects(manager.readContent(id, t.signal), { code: 'CONTENT_NOT_FOUND', retry: 'after-refresh' });
  repository.clock.advance(1);
  const { revision } = manager;
  const [first, second] = await Promise.all([manager.readContent(id, t.signal), manager.readContent(id, t.signal)]);
  assert.deepEqual(first, second);
  assert.equal(manager.revision, revision + 1, 'one look for both');
  const more = await other.write('', bytesOf('more'), 'none', t.signal);
  await other.flush(t.signal);
  repository.clock.advance(16 * 60 * 1000);
  assert.equal(await manager.write('', bytesOf('more'), 'none', t.signal), more);
  assert.equal((await manager.flush(t.signal)).contents, 0, 'not stored a second time');
});

test('a deleted content stays readable; written again it gets a later entry', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const manager = await repository.open();
  const id = await manager.write('', bytesOf('x'), 'none', t.signal);
  await manager.flush(t.signal);
  const first = manager.find(id);
  assert.ok(first !== undefined);
  await manager.delete(id, t.signal);
  await manager.delete(id, t.signal);
  assert.deepEqual(await manager.flush(t.signal), { indexBlobs: 1, packs: 0, contents: 1 });
  const deleted = manager.find(id);
  assert.deepEqual(deleted, { ...first, deleted: true, timestampSeconds: first.timestampSeconds + 1 });
  assert.equal(await textOf(manager, id, t.signal), 'x');
  await manager.delete(id, t.signal);
  assert.equal((await manager.flush(t.signal)).contents, 0, 'deleted already');
  await manager.write('', bytesOf('x'), 'none', t.signal);
  await manager.flush(t.signal);
  const again = (await repository.loadIndex()).findContent(id);
  assert.ok(again !== undefined && !again.deleted);
  assert.equal(again.timestampSeconds, first.timestampSeconds + 2, 'although the clock stood still');
  assert.notEqual(again.packId, first.packId);
  assert.equal(await textOf(manager, id, t.signal), 'x');
});

test('deleting what nobody knows does nothing', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const manager = await repository.open();
  await manager.delete('00112233445566778899aabbccddeeff' as ContentId, t.signal);
  assert.deepEqual(await repository.blobNames('s'), [], 'not even a session');
});

for (const steps of ['d', 'dw', 'dwd', 'dwdw', 'wd', 'wdw', 'wdwdw']) {
  test(`the last of several changes in one session counts: ${steps}`, async (t) => {
    const repository = await createContentRepository(t, { kind: 'memory' });
    const manager = await repository.open();
    const id = await manager.write('m', bytesOf('x'), 'none', t.signal);
    if (steps.startsWith('d')) await manager.flush(t.signal);
    for (const step of steps) {
      if (step === 'w') await manager.write('m', bytesOf('x'), 'none', t.signal);
      else await manager.delete(id, t.signal);
      assert.equal(manager.isPendingDeletion(id), step === 'd');
    }
    await manager.flush(t.signal);
    const entry = (await repository.loadIndex()).findContent(id);
    assert.equal(entry?.deleted, steps.endsWith('d'));
    assert.equal(manager.isPendingDeletion(id), false);
    assert.equal(await textOf(manager, id, t.signal), 'x');
    if (entry.deleted) await manager.write('m', bytesOf('x'), 'none', t.signal);
    await manager.flush(t.signal);
    assert.equal((await repository.loadIndex()).findContent(id)?.deleted, false);
  });
}

test('rows of the index are marked deleted, and come back when they are written', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const manager = await repository.open();
  const gone = await manager.write('', bytesOf('gone'), 'none', t.signal);
  const back = await manager.write('', bytesOf('back'), 'none', t.signal);
  await manager.flush(t.signal);
  const { indexSet, refreshes } = manager;
  for (let times = 0; times < 2; times++) {
    for (const row of indexSet.iterateRows()) await manager.deleteRow(row, refreshes, t.signal);
  }
  assert.deepEqual([manager.isPendingDeletion(gone), manager.isPendingDeletion(back)], [true, true]);
  await manager.write('', bytesOf('back'), 'none', t.signal);
  await manager.flush(t.signal);
  const after = await repository.loadIndex();
  assert.deepEqual([after.findContent(gone)?.deleted, after.findContent(back)?.deleted], [true, false]);
});

test('a row that somebody has changed since it was read is not marked deleted', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const manager = await repository.open();
  const id = await manager.write('', bytesOf('x'), 'none', t.signal);
  await manager.flush(t.signal);
  const { indexSet, refreshes } = manager;
  const other = await repository.open();
  await other.delete(id, t.signal);
  await other.flush(t.signal);
  await other.write('', bytesOf('x'), 'none', t.signal);
  await other.flush(t.signal);
  await manager.refresh(t.signal);
  for (const row of indexSet.iterateRows()) await manager.deleteRow(row, refreshes, t.signal);
  await manager.flush(t.signal);
  assert.equal((await repository.loadIndex()).findContent(id)?.deleted, false);
});

test('pending manifests are live, readable and lost with the session', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const manager = await repository.open();
  const backend = manager.manifestBackend();
  const first = await backend.writeContent('m', bytesOf('first'), 'none', t.signal);
  await backend.flush(t.signal);
  const second = await backend.writeContent('m', bytesOf('second'), 'none', t.signal);
  await manager.write('k', bytesOf('no manifest'), 'none', t.signal);
  const live = async (): Promise<ContentId[]> => [...(await backend.listManifestContents(t.signal))].sort();
  assert.deepEqual(await live(), [first, second].sort());
  assert.deepEqual(await backend.readContent(second, t.signal), bytesOf('second'));
  await backend.deleteContent(first, t.signal);
  assert.deepEqual(await live(), [second]);
  await backend.deleteContent(second, t.signal);
  assert.deepEqual(await live(), []);
  await backend.writeContent('m', bytesOf('first'), 'none', t.signal);
  assert.deepEqual(await live(), [first]);
  await backend.flush(t.signal);
  assert.deepEqual(await live(), [first]);
  const other = (await repository.open()).manifestBackend();
  assert.deepEqual(await other.listManifestContents(t.signal), [first]);
});

/** Stores one content and tells where. */
async function storeOne(
  t: TestContext,
): Promise<{ repository: ContentRepository; manager: ContentManager; id: ContentId }> {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const manager = await repository.open();
  const id = await manager.write('', bytesOf('x'), 'none', t.signal);
  await manager.flush(t.signal);
  return { repository, manager, id };
}

async function damagePack(
  storage: BlobStorage,
  id: BlobId,
  damage: (bytes: Uint8Array) => Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  await storage.putBlob(id, damage(await storage.getBlob(id, undefined, signal)), signal);
}

test('lost and damaged contents name pack, offset and length', async (t) => {
  const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, at) => (at === 40 ? byte ^ 1 : byte));
  for (const { code, damage } of [
    { code: 'CONTENT_CORRUPT', damage: flip },
    { code: 'CONTENT_LOST', damage: (bytes: Uint8Array) => bytes.subarray(0, 50) },
    { code: 'CONTENT_LOST', damage: undefined },
  ]) {
    const { repository, manager, id } = await storeOne(t);
    const entry = manager.find(id);
    assert.ok(entry !== undefined);
    const { packId, packOffset: offset, packedLength: length } = entry;
    if (damage === undefined) await repository.storage.deleteBlob(packId, t.signal);
    else await damagePack(repository.storage, packId, damage, t.signal);
    await assert.rejects(manager.readContent(id, t.signal), {
      code,
      context: { contentId: id, packId, offset, length },
    });
  }
});

test('a content that maintenance moved is found where it is now', async (t) => {
  const { repository, manager, id } = await storeOne(t);
  const old = manager.find(id);
  assert.ok(old !== undefined);
  const mover = await repository.open();
  await mover.delete(id, t.signal);
  await mover.flush(t.signal);
  await mover.write('', bytesOf('x'), 'none', t.signal);
  await mover.flush(t.signal);
  await repository.storage.deleteBlob(old.packId, t.signal);
  assert.equal(await textOf(manager, id, t.signal), 'x');
  assert.notEqual(manager.find(id)?.packId, old.packId);
});

test('a content whose pack and index both went is not found', async (t) => {
  const { repository, manager, id } = await storeOne(t);
  for (const prefix of ['p', 'xn']) {
    for (const name of (await repository.blobNames(prefix)) as BlobId[])
      await repository.storage.deleteBlob(name, t.signal);
  }
  await assert.rejects(manager.readContent(id, t.signal), { code: 'CONTENT_NOT_FOUND' });
});

test('packs of lanes are joined with the main thread’s own', async (t) => {
  const repository = await createContentRepository(t, { kind: 'filesystem', packBytes: 1 << 20 });
  const manager = await repository.open();
  const sessionId = await manager.startSession(t.signal);
  const ids: ContentId[] = [];
  for (let lane = 0; lane < 3; lane++) {
    const deps = { random: systemRandom, clock: repository.clock };
    const writer = new ContentWriter(manager.writerSpec, manager.known(), { ...deps, onPack: () => undefined });
    writer.setSession(sessionId);
    ids.push(writer.write('', bytesOf(`lane ${lane}`), 'none'), writer.write('', bytesOf('all'), 'none'));
    for (const pack of writer.takeOpenPacks()) manager.acceptTail(pack);
  }
  ids.push(await manager.write('', bytesOf('main'), 'none', t.signal));
  assert.deepEqual(await manager.flush(t.signal), { indexBlobs: 1, packs: 1, contents: 5 });
  for (const id of ids) assert.ok((await textOf(manager, id, t.signal)).length > 2);
  assert.equal((await repository.blobNames('p')).length, 1);
});

test('a content that was promised but never came keeps everything from being published', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const manager = await repository.open();
  await manager.write('', bytesOf('here'), 'none', t.signal);
  manager.known().newContents.insert(contentKey('00112233445566778899aabbccddeeff' as ContentId));
  await assert.rejects(manager.flush(t.signal), { code: 'SESSION_INCOMPLETE', context: { promised: 2, stored: 1 } });
  assert.deepEqual(await repository.blobNames('xn'), []);
  await assert.rejects(manager.flush(t.signal), { code: 'SESSION_INCOMPLETE' });
});

test('flushes and writes that come at once lose nothing', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory', packBytes: 300 });
  const manager = await repository.open();
  const random = new SeededRandom(8);
  const work: Promise<unknown>[] = [];
  const ids: Promise<ContentId>[] = [];
  for (let n = 0; n < 60; n++) {
    if (n % 7 === 0) work.push(manager.flush(t.signal));
    if (n % 11 === 0) work.push(manager.refresh(t.signal));
    if (n % 5 === 0) await Promise.resolve();
    ids.push(manager.write('', random.bytes(50), 'none', t.signal));
  }
  await Promise.all(work);
  const written = await Promise.all(ids);
  await manager.flush(t.signal);
  const index = await repository.loadIndex();
  for (const id of written) assert.ok(index.findContent(id) !== undefined);
  assert.equal(index.rowCount, 60);
  assert.deepEqual(await repository.blobNames('s'), []);
});

test('a caller that gives up starting a session does not stop the others', async (t) => {
  const repository = await createContentRepository(t, { kind: 'memory' });
  const faulty = createFaultyStorage(t, repository.storage);
  const manager = await repository.open({ storage: faulty.storage });
  const stop = new AbortController();
  faulty.plan({ method: 'putBlob', callback: () => stop.abort() });
  const first = manager.startSession(stop.signal);
  const second = manager.write('', bytesOf('x'), 'none', t.signal);
  await assert.rejects(first, { name: 'AbortError' });
  await second;
  assert.equal((await manager.flush(t.signal)).contents, 1);
});
