import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRandom } from '../base/random.ts';
import { CHEAP_KEY_ALGORITHM, cheapKeys } from '../test/harness/cheap-keys.ts';
import { createTestClock } from '../test/harness/test-clock.ts';
import { createMemoryStorage } from './blob/memory.ts';
import type { BlobStorage } from './blob/storage.ts';
import { readFormatBlobs } from './format/open-format.ts';
import { Repository } from './repository.ts';

const signal = new AbortController().signal;

/** A repository in a store that tells what it is asked. */
async function makeRepository(): Promise<{
  storage: BlobStorage;
  asked: string[];
  deps: Parameters<typeof Repository.open>[1];
}> {
  const clock = createTestClock();
  const memory = createMemoryStorage({ clock });
  const deps = { clock, random: systemRandom, deriveKey: cheapKeys };
  const asked: string[] = [];
  const storage: BlobStorage = {
    displayName: memory.displayName,
    getBlob(id, range, abort) {
      asked.push(`get ${id}`);
      return memory.getBlob(id, range, abort);
    },
    getMetadata: (id, abort) => memory.getMetadata(id, abort),
    putBlob: (id, bytes, abort) => memory.putBlob(id, bytes, abort),
    listBlobs(prefix, abort) {
      asked.push(`list ${prefix}`);
      return memory.listBlobs(prefix, abort);
    },
    deleteBlob: (id, abort) => memory.deleteBlob(id, abort),
    freeBytes: (abort) => memory.freeBytes(abort),
    // The blobs stay.
    close: async () => undefined,
  };
  const options = { storage, password: 'p', keyAlgo: CHEAP_KEY_ALGORITHM, localCopies: false };
  await (await Repository.create(options, deps, signal)).close();
  asked.length = 0;
  return { storage, asked, deps };
}

test('indexes are listed while the key is derived, each prefix once', async () => {
  const { storage, asked, deps } = await makeRepository();
  let askedBefore: readonly string[] = [];
  const deriveKey: typeof cheapKeys = async (...input) => {
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
    askedBefore = [...asked];
    return cheapKeys(...input);
  };
  const options = { storage, password: 'p', readOnly: true, localCopies: false };
  await (await Repository.open(options, { ...deps, deriveKey }, signal)).close();
  const lists = (calls: readonly string[]): string[] => calls.filter((call) => call.startsWith('list')).sort();
  assert.deepEqual(lists(askedBefore), ['list xe', 'list xn0_', 'list xn1_', 'list xr', 'list xs', 'list xw']);
  assert.deepEqual(lists(asked), lists(askedBefore));
});

test('a wrong password is told as that, whatever becomes of the lists', async () => {
  const { storage, deps } = await makeRepository();
  const failing: BlobStorage = {
    ...storage,
    // oxlint-disable-next-line require-yield -- it never gets so far
    async *listBlobs() {
      throw new Error('no list');
    },
  };
  await assert.rejects(Repository.open({ storage: failing, password: 'q', localCopies: false }, deps, signal), {
    code: 'PASSWORD_WRONG',
  });
  const open = Repository.open({ storage: failing, password: 'p', localCopies: false }, deps, signal);
  await assert.rejects(open, /no list/);
});

test('format blobs that were read are not read again', async () => {
  const { storage, asked, deps } = await makeRepository();
  const storedFormat = await readFormatBlobs(storage, signal);
  asked.length = 0;
  const options = { storage, password: 'p', readOnly: true, localCopies: false, storedFormat };
  await (await Repository.open(options, deps, signal)).close();
  assert.deepEqual(
    asked.filter((call) => call.startsWith('get kopia')),
    [],
  );
});
