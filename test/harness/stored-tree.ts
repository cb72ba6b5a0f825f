// Puts a literal tree into a repository in memory, without a file system or the mover: for tests of what reads snapshots.
import type { TestContext } from 'node:test';
import { systemRandom } from '../../base/random.ts';
import { createMemoryStorage } from '../../repo-format/blob/memory.ts';
import {
  compareNames,
  encodeDirectory,
  encodeEntry,
  Repository,
  SummaryBuilder,
  type DirectoryEntry,
  type EntryFields,
  type SnapshotManifest,
} from '../../repo-format/index.ts';
import { createEntry } from '../../repo-format/snapshot/directory-entry.ts';
import { EMPTY_STATS } from '../../repo-format/snapshot/snapshot-manifest.ts';
import { CHEAP_KEY_ALGORITHM, cheapKeys } from './cheap-keys.ts';
import { scratchFolder } from './scratch.ts';
import { createTestClock } from './test-clock.ts';

/** A string is a file's content, an object a directory; `attributes` changes what is recorded about an entry. */
export interface StoredTree {
  readonly [name: string]: string | StoredTree | StoredEntry;
}

export class StoredEntry {
  readonly content: string | StoredTree;
  readonly attributes: Partial<EntryFields>;

  constructor(content: string | StoredTree, attributes: Partial<EntryFields>) {
    this.content = content;
    this.attributes = attributes;
  }
}

export async function memoryRepository(t: TestContext): Promise<Repository> {
  const clock = createTestClock();
  const deps = { clock, random: systemRandom, deriveKey: cheapKeys };
  const storage = createMemoryStorage({ clock });
  const options = {
    storage,
    password: 'memory',
    keyAlgo: CHEAP_KEY_ALGORITHM,
    localFolder: scratchFolder(t, 'packs'),
  };
  const repository = await Repository.create(options, deps, t.signal);
  t.after(() => repository.close());
  return repository;
}

/** A manifest, not saved, of a snapshot that holds `tree`. */
export async function storeTree(
  t: TestContext,
  repository: Repository,
  tree: StoredTree,
  id = '0123abcd',
): Promise<SnapshotManifest> {
  const rootEntry = await storeEntry(t, repository, 'root', tree);
  await repository.flush(t.signal);
  return {
    id: id as SnapshotManifest['id'],
    source: { host: 'host', userName: 'user', path: '/data' },
    description: '',
    startTimeNs: 0n,
    endTimeNs: 0n,
    stats: EMPTY_STATS,
    rootEntry,
    tags: {},
    pins: [],
  };
}

async function storeEntry(
  t: TestContext,
  repository: Repository,
  name: string,
  item: StoredTree[string],
): Promise<DirectoryEntry> {
  const { content, attributes } = item instanceof StoredEntry ? item : { content: item, attributes: {} };
  const fixed = { name, mode: 0o755, mtimeSeconds: 1_600_000_000, mtimeNanos: 0, uid: 0, gid: 0 };
  if (typeof content === 'string') {
    const bytes = Buffer.from(content);
    const objectId = await repository.writeContent('', bytes, 'none', t.signal);
    return createEntry({ ...fixed, type: 'f', size: bytes.length, objectId: asObject(objectId), ...attributes });
  }
  const entries: DirectoryEntry[] = [];
  for (const [child, value] of Object.entries(content)) entries.push(await storeEntry(t, repository, child, value));
  entries.sort((a, b) => compareNames(a.name, b.name));
  const summary = new SummaryBuilder().build(0, 0);
  const bytes = encodeDirectory({
    dirEntryTexts: entries.filter((entry) => entry.type === 'd').map(encodeEntry),
    otherEntryTexts: entries.filter((entry) => entry.type !== 'd').map(encodeEntry),
    summary,
  });
  const objectId = await repository.writeContent('k', bytes, 'none', t.signal);
  return createEntry({ ...fixed, type: 'd', objectId: asObject(objectId), summary, ...attributes });
}

/** A direct object is named by its one content. */
function asObject(contentId: string): DirectoryEntry['objectId'] {
  return contentId as DirectoryEntry['objectId'];
}
