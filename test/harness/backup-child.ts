// A backup in a process of its own, for tests that kill it, limit it or run it as somebody else. Arguments: the fixture's
// folder, the tree, options as JSON, `remote` for a store that has no local files. The last line on standard output is the outcome as JSON; `pack` lines come before it,
// one whenever packs have reached storage.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { serializeError } from '../../base/errors.ts';
import { BackupFixture, type BackUpOptions } from './backup-fixture.ts';
import type { BlobStorage } from '../../repo-format/index.ts';
import { RemoteStorage } from './remote-storage.ts';
import type { ChildOutcome } from './run-backup-child.ts';

async function main(folder: string, tree: string, options: BackUpOptions, store: string): Promise<ChildOutcome> {
  const owner = { after: () => undefined, signal: new AbortController().signal };
  const wrapStorage = (storage: BlobStorage): BlobStorage =>
    store === 'remote' ? new RemoteStorage(storage) : storage;
  const fixture = await BackupFixture.reopen(owner, folder, { wrapStorage });
  const before = readdirSync('/proc/self/fd').length;
  let packs = 0;
  const progress = (): void => {
    const stored = countPacks(folder);
    if (stored > packs) process.stdout.write(`pack ${stored}\n`);
    packs = stored;
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

/** Packs of file data; the first folder of each has the beginning of its name. */
function countPacks(folder: string): number {
  const names = readdirSync(join(folder, 'repository'), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.startsWith('p') && name.endsWith('.f')).length;
}

const [, , folder = '', tree = '', options = '{}', store = 'local'] = process.argv;
// The options come from the test that started this.
const outcome = await main(folder, tree, JSON.parse(options) as BackUpOptions, store);
process.stdout.write(`${JSON.stringify(outcome)}\n`);
