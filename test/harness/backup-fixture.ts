// A repository in a scratch folder and everything a test of backups asks of it, in this process and with real lanes.
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { systemClock, type Clock } from '../../base/clock.ts';
import { type Logger, silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import { backupTree, type BackupOptions, type BackupResult } from '../../mover/upload/backup.ts';
import type { BackupProgress } from '../../mover/upload/progress.ts';
import {
  type BlobStorage,
  listSnapshots,
  openFilesystemStorage,
  parseDirectory,
  type DirectoryEntry,
  type ParsedDirectory,
  type Policy,
  Repository,
  saveSnapshot,
  type SnapshotManifest,
  type SnapshotSource,
} from '../../repo-format/index.ts';
import type { CreateFormatOptions } from '../../repo-format/format/create-format.ts';
import { parseObjectId } from '../../repo-format/object/object-id.ts';
import { setPolicy } from '../../repo-format/snapshot/effective-policy.ts';
import { CHEAP_KEY_ALGORITHM, cheapKeys } from './cheap-keys.ts';
import { describeSnapshot } from './describe-snapshot.ts';
import type { TreeDescription } from './describe-tree.ts';
import { memoryFolder } from './scratch.ts';

export const FIXTURE_SOURCE: SnapshotSource = { host: 'host', userName: 'user', path: '/data' };
export const FIXTURE_PASSWORD = 'fixture';

/** A test context, or a process of its own. */
export interface FixtureOwner {
  readonly signal: AbortSignal;
  after(hook: () => void | Promise<void>): void;
}

export interface FixtureOptions {
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly format?: Partial<CreateFormatOptions>;
  readonly wrapStorage?: (storage: BlobStorage) => BlobStorage;
  /** Remember change hints, as the command does; most tests want kopia's rule alone. */
  readonly hints?: boolean;
  /** Disk space for parts of packs. */
  readonly partBytes?: number;
  /** Use an existing folder, as another process does. */
  readonly folder?: string;
  /** Take what this process itself has left behind for that of a dead one. */
  readonly sameProcess?: boolean;
}

export interface BackUpOptions extends Partial<BackupOptions> {
  readonly progress?: (progress: BackupProgress) => void;
  readonly signal?: AbortSignal;
}

export class BackupFixture {
  readonly repository: Repository;
  readonly folder: string;
  readonly #options: FixtureOptions;
  readonly #signal: AbortSignal;

  private constructor(repository: Repository, folder: string, options: FixtureOptions, signal: AbortSignal) {
    this.repository = repository;
    this.folder = folder;
    this.#options = options;
    this.#signal = signal;
  }

  /** A new repository; closed and removed after the test. */
  static async create(t: FixtureOwner, options: FixtureOptions = {}): Promise<BackupFixture> {
    const folder = options.folder ?? memoryFolder(t, 'backup');
    mkdirSync(join(folder, 'repository'), { recursive: true });
    const storage = await openFilesystemStorage(
      { path: join(folder, 'repository'), create: 'current' },
      depsOf(options),
    );
    const format = { password: FIXTURE_PASSWORD, keyAlgo: CHEAP_KEY_ALGORITHM, ...options.format };
    const repository = await Repository.create(
      {
        ...format,
        storage: options.wrapStorage?.(storage) ?? storage,
        journalFolder: join(folder, 'journals'),
        localFolder: join(folder, 'local'),
      },
      depsOf(options),
      t.signal,
    );
    t.after(() => repository.close());
    return new BackupFixture(repository, folder, options, t.signal);
  }

  /** The repository of an earlier fixture, as the next process finds it. */
  static async reopen(t: FixtureOwner, folder: string, options: FixtureOptions = {}): Promise<BackupFixture> {
    const storage = await openFilesystemStorage({ path: join(folder, 'repository') }, depsOf(options));
    const journalFolder = join(folder, 'journals');
    const repository = await Repository.open(
      {
        storage: options.wrapStorage?.(storage) ?? storage,
        password: FIXTURE_PASSWORD,
        journalFolder,
        localFolder: join(folder, 'local'),
        ...(options.partBytes === undefined ? {} : { partBytes: options.partBytes }),
      },
      depsOf(options),
      t.signal,
    );
    t.after(() => repository.close());
    return new BackupFixture(repository, folder, options, t.signal);
  }

  backUp(path: string, options: BackUpOptions = {}): Promise<BackupResult> {
    const { progress, signal = this.#signal, ...more } = options;
    return backupTree(
      this.repository,
      { path, source: FIXTURE_SOURCE, parallel: 2, ...more },
      {
        ...depsOf(this.#options),
        ...(this.#options.hints === true ? { stateDirectory: join(this.folder, 'state') } : {}),
        ...(progress === undefined ? {} : { progress }),
      },
      signal,
    );
  }

  describe({ rootEntry }: SnapshotManifest): Promise<TreeDescription> {
    return describeSnapshot(this.repository, present(rootEntry), this.#signal);
  }

  async directory(entry: DirectoryEntry | null | undefined): Promise<ParsedDirectory> {
    return parseDirectory(await this.repository.readObject(parseObjectId(present(entry).objectId), this.#signal));
  }

  /** The entry at a path below the root. */
  async entry(manifest: SnapshotManifest, path: string): Promise<DirectoryEntry> {
    let entry = present(manifest.rootEntry);
    for (const name of path.split('/')) {
      entry = present((await this.directory(entry)).entries.find((child) => child.name === name));
    }
    return entry;
  }

  /** All paths in the snapshot but the root. */
  async paths(manifest: SnapshotManifest): Promise<string[]> {
    return Object.keys(await this.describe(manifest)).filter((path) => path !== '.');
  }

  list(): Promise<SnapshotManifest[]> {
    return listSnapshots(this.repository.manifests, { source: FIXTURE_SOURCE }, this.#signal);
  }

  /** Stores a policy, as a user does; an empty path is for everything. */
  async setPolicy(target: Partial<SnapshotSource> | 'global', policy: Policy): Promise<void> {
    const whole = target === 'global' ? { host: '', userName: '', path: '' } : { ...FIXTURE_SOURCE, ...target };
    await setPolicy(this.repository.manifests, whole, policy, this.#signal);
    await this.repository.flush(this.#signal);
  }

  /** Reads all files and links of a snapshot: none may contain `text`. */
  async assertNowhere(manifest: SnapshotManifest, text: string): Promise<void> {
    for (const stack = [present(manifest.rootEntry)]; stack.length > 0;) {
      const entry = present(stack.pop());
      if (entry.type === 'd') {
        stack.push(...(await this.directory(entry)).entries);
        continue;
      }
      const bytes = Buffer.from(await this.repository.readObject(parseObjectId(entry.objectId), this.#signal));
      if (bytes.length !== entry.size)
        throw new RangeError(`${entry.name}: ${entry.size} bytes promised, ${bytes.length} stored`);
      if (entry.type === 'f' && bytes.includes(text)) throw new RangeError(`${entry.name} contains ${text}`);
    }
  }

  /** Looks for what other processes have written. */
  refresh(): Promise<void> {
    return this.repository.refresh(this.#signal);
  }

  /** Saves a manifest of another repository, whose objects this one does not have. */
  async copySnapshot({
    source,
    rootEntry,
    startTimeNs,
    endTimeNs,
    stats,
  }: SnapshotManifest): Promise<SnapshotManifest['id']> {
    const id = saveSnapshot(this.repository.manifests, {
      source,
      description: '',
      startTimeNs,
      endTimeNs,
      stats,
      rootEntry: present(rootEntry),
    });
    await this.repository.flush(this.#signal);
    return id;
  }

  /** Names of the files of the repository that are not finished blobs. */
  unfinished(): string[] {
    const names = readdirSync(join(this.folder, 'repository'), { recursive: true, encoding: 'utf8' });
    return names.filter((name) => name.includes('.tmp.'));
  }
}

function depsOf({ clock = systemClock, logger = silentLogger, sameProcess = false }: FixtureOptions): {
  clock: Clock;
  logger: Logger;
  random: typeof systemRandom;
  deriveKey: typeof cheapKeys;
  processes: { self: string; isGone(owner: string): boolean };
} {
  const processes = { self: String(process.pid), isGone: (owner: string) => sameProcess || !isAlive(Number(owner)) };
  return { clock, logger, random: systemRandom, deriveKey: cheapKeys, processes };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    // No such process.
    return false;
  }
}

function present<T>(value: T | null | undefined): T {
  if (value === null || value === undefined) throw new TypeError('the snapshot has no such entry');
  return value;
}
