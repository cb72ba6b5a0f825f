// A backup in a process of its own, for tests that kill it, limit it or run it as somebody else. Arguments: the fixture's
// folder, the tree, options as JSON, `remote` for a store that has no local files, `held` for one that also answers nothing after its first pack: the backup can be killed there at leisure.
// The last line on standard output is the outcome as JSON; `pack` lines come before it, one whenever the session's journal notes more stored packs, and `held` when it will not go on.
import { globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import { serializeError } from '../../base/errors.ts';
import { BackupFixture, type BackUpOptions } from './backup-fixture.ts';
import type { BlobStorage } from '../../repo-format/index.ts';
import { RemoteStorage, type StorageVerb } from './remote-storage.ts';
import type { ChildOutcome } from './run-backup-child.ts';

/** The end of a record of a session's journal. */
const MAC_BYTES = 32;

async function main(folder: string, tree: string, options: BackUpOptions, store: string): Promise<ChildOutcome> {
  const owner = { after: () => undefined, signal: new AbortController().signal };
  const wrapStorage = (storage: BlobStorage): BlobStorage => {
    if (store === 'local') return storage;
    return new RemoteStorage(storage, store === 'held' ? { before: holdAfterFirstPack(folder) } : {});
  };
  const fixture = await BackupFixture.reopen(owner, folder, { wrapStorage });
  const before = readdirSync('/proc/self/fd').length;
  let packs = 0;
  const progress = (): void => {
    const noted = notedPacks(folder);
    if (noted > packs) process.stdout.write(`pack ${noted}\n`);
    packs = noted;
  };
  try {
    const result = await fixture.backUp(tree, { ...options, progress });
    const { id, rootEntry } = result.manifest;
    const { errors, resumedPacks, consistency } = result;
    const leaked = readdirSync('/proc/self/fd').length - before;
    const numFailed = rootEntry?.summary?.numFailed ?? -1;
    return { id, rootObjectId: rootEntry?.objectId ?? '', numFailed, errors, resumedPacks, consistency, leaked };
  } catch (error) {
    return { failure: serializeError(error), leaked: readdirSync('/proc/self/fd').length - before };
  } finally {
    await fixture.repository.close();
  }
}

/** The second pack waits until the first is stored and noted in the session's journal, says `held`, and is never put. */
function holdAfterFirstPack(folder: string): (verb: StorageVerb, id: string) => Promise<void> {
  let isFirst = true;
  return async (verb, id) => {
    if (verb !== 'put' || !id.startsWith('p')) return;
    if (isFirst) {
      isFirst = false;
      return;
    }
    while (notedPacks(folder) === 0) await setTimeout(5);
    process.stdout.write('held\n');
    await new Promise(() => {});
  };
}

/** Packs that the journal of this session holds: stored, and worth something to the next run. */
function notedPacks(folder: string): number {
  const journals = globSync(join(folder, 'journals', '**', '*.journal'));
  return journals.reduce((sum, path) => sum + countRecords(readFileSync(path)), 0);
}

/** Its whole records after the first, which is a header (repo-format/content/session-journal.ts). */
function countRecords(journal: Buffer): number {
  let count = 0;
  let at = journal.indexOf('\n') + 1;
  while (at + 4 <= journal.length) {
    at += 4 + journal.readUInt32LE(at) + MAC_BYTES;
    if (at <= journal.length) count++;
  }
  return Math.max(0, count - 1);
}

const [, , folder = '', tree = '', options = '{}', store = 'local'] = process.argv;
// The options come from the test that started this.
const outcome = await main(folder, tree, JSON.parse(options) as BackUpOptions, store);
process.stdout.write(`${JSON.stringify(outcome)}\n`);
