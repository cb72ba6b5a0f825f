// Repositories for restore tests: real ones in a temporary folder, with snapshots made from trees by the mover, or from
// entries that no honest writer would store.
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import {
  type BlobStorage,
  type DirectoryEntry,
  type ObjectId,
  Repository,
  type SnapshotManifest,
  createEntry,
  encodeDirectory,
  encodeEntry,
  openFilesystemStorage,
} from '../../repo-format/index.ts';
import { type RestoreOptions, type RestoreReceipt, backupTree, restoreSnapshot } from '../../mover/index.ts';
import { CHEAP_KEY_ALGORITHM, cheapKeys } from './cheap-keys.ts';
import { memoryFolder } from './scratch.ts';

export const SIGNAL = new AbortController().signal;
const DEPS = { clock: systemClock, random: systemRandom, logger: silentLogger };

export interface CreateOptions {
  readonly folder?: string;
  readonly ecc?: boolean;
  readonly splitter?: string;
  readonly wrapStorage?: (storage: BlobStorage) => BlobStorage;
  readonly maxPackSizeBytes?: number;
}

export async function createTestRepository(t: TestContext, options: CreateOptions = {}): Promise<Repository> {
  const scratch = memoryFolder(t, 'repo');
  const path = options.folder ?? join(scratch, 'repo');
  const storage = await openFilesystemStorage({ path, create: 'current' }, DEPS);
  const repository = await Repository.create(
    {
      storage: options.wrapStorage?.(storage) ?? storage,
      localFolder: join(scratch, 'local'),
      password: 'test',
      keyAlgo: CHEAP_KEY_ALGORITHM,
      splitter: options.splitter ?? 'DYNAMIC-128K-BUZHASH',
      ...(options.maxPackSizeBytes === undefined ? {} : { maxPackSizeBytes: options.maxPackSizeBytes }),
      ...(options.ecc === true ? { ecc: 'REED-SOLOMON-CRC32', eccOverheadPercent: 5 } : {}),
    },
    { ...DEPS, deriveKey: cheapKeys },
    SIGNAL,
  );
  t.after(() => repository.close());
  return repository;
}

/** A snapshot of the tree at `path`. */
export async function snapshotOf(repository: Repository, path: string): Promise<SnapshotManifest> {
  const source = { host: 'host', userName: 'user', path };
  const { manifest } = await backupTree(repository, { path, source, parallel: 1 }, DEPS, SIGNAL);
  await repository.flush(SIGNAL);
  return manifest;
}

export type EntryLiteral = Partial<DirectoryEntry> & { readonly name: string; readonly content?: string | Uint8Array };

/** A directory object with exactly these entries, in this order, whatever their names. */
export async function storeDirectory(repository: Repository, entries: readonly EntryLiteral[]): Promise<ObjectId> {
  const texts: string[] = [];
  for (const entry of entries) texts.push(await encodeLiteral(repository, entry));
  const summary = { size: 0, files: entries.length, symlinks: 0, dirs: 1, maxTimeNs: 0n, numFailed: 0 };
  const bytes = encodeDirectory({ dirEntryTexts: texts, otherEntryTexts: [], summary });
  return (await repository.writeContent('k', bytes, 'none', SIGNAL)) as string as ObjectId;
}

async function encodeLiteral(repository: Repository, literal: EntryLiteral): Promise<string> {
  const { content, ...fields } = literal;
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : (content ?? new Uint8Array(0));
  const objectId = fields.objectId ?? (await storeFile(repository, bytes));
  return encodeEntry({
    type: 'f',
    mode: 0o644,
    mtimeSeconds: 1_600_000_000,
    mtimeNanos: 123_456_789,
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    size: bytes.length,
    ...fields,
    objectId,
  });
}

export async function storeFile(repository: Repository, bytes: Uint8Array): Promise<ObjectId> {
  return (await repository.writeContent('', bytes, 'none', SIGNAL)) as string as ObjectId;
}

/** A snapshot whose root has these entries; flushed. */
export async function snapshotOfEntries(
  repository: Repository,
  entries: readonly EntryLiteral[],
): Promise<SnapshotManifest> {
  const objectId = await storeDirectory(repository, entries);
  await repository.flush(SIGNAL);
  return manifestOf(objectId);
}

/** An unsaved manifest of a root directory. */
export function manifestOf(objectId: ObjectId): SnapshotManifest {
  const rootEntry = createEntry({
    name: 'root',
    type: 'd',
    mode: 0o755,
    mtimeSeconds: 1_600_000_000,
    mtimeNanos: 1,
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    objectId,
  });
  // Only what a restore looks at.
  return { id: 'test', rootEntry } as unknown as SnapshotManifest;
}

export function restore(
  repository: Repository,
  manifest: SnapshotManifest,
  options: Omit<RestoreOptions, 'manifest'>,
  signal: AbortSignal = SIGNAL,
): Promise<RestoreReceipt> {
  return restoreSnapshot(repository, { manifest, parallel: 2, ...options }, { clock: systemClock }, signal);
}
