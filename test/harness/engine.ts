// The library as tests drive it, in this process and without a command line: one repository folder with cheap keys, and the
// jobs a user has for it. Storage may be wrapped, to watch it or to make it fail.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { systemClock, type Clock } from '../../base/clock.ts';
import { silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import {
  backupStream,
  backupTree,
  restoreSnapshot,
  verifySnapshots,
  type BackupResult,
  type RestoreReceipt,
} from '../../mover/index.ts';
import {
  deleteSnapshot,
  listSnapshots,
  openFilesystemStorage,
  Repository,
  type BlobStorage,
  type RepositoryDeps,
  type SnapshotManifest,
  type SnapshotSource,
} from '../../repo-format/index.ts';
import {
  runMaintenance,
  type MaintenanceOptions,
  type MaintenanceReport,
} from '../../repo-format/maintenance/enter.ts';
import { CHEAP_KEY_ALGORITHM, cheapKeys } from './cheap-keys.ts';

export const ENGINE_PASSWORD = 'engine-password';
export const ENGINE_SOURCE = { host: 'host', userName: 'user', path: '/data' };

export interface EngineOptions {
  /** Repository and caches live below it. */
  readonly folder: string;
  readonly clock?: Clock;
  readonly wrapStorage?: (storage: BlobStorage) => BlobStorage;
  readonly maxPackSizeBytes?: number;
  /** Keys that kopia can derive, too; they take a while. */
  readonly realKeys?: boolean;
  readonly signal?: AbortSignal;
}

/** Every job opens the repository anew, as a command does, unless it is given one. */
export class Engine {
  readonly repositoryPath: string;
  readonly #options: EngineOptions;
  readonly #signal: AbortSignal;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#signal = options.signal ?? new AbortController().signal;
    this.repositoryPath = join(options.folder, 'repository');
    mkdirSync(this.cacheFolder, { recursive: true });
  }

  get cacheFolder(): string {
    return join(this.#options.folder, 'cache');
  }

  async create(): Promise<void> {
    const storage = await openFilesystemStorage({ path: this.repositoryPath, create: 'current' }, this.#deps());
    const { maxPackSizeBytes, realKeys = false } = this.#options;
    const repository = await Repository.create(
      {
        storage,
        password: ENGINE_PASSWORD,
        ...(realKeys ? {} : { keyAlgo: CHEAP_KEY_ALGORITHM }),
        ...(maxPackSizeBytes === undefined ? {} : { maxPackSizeBytes }),
      },
      this.#deps(),
      this.#signal,
    );
    await repository.close();
  }

  async open(readOnly = false): Promise<Repository> {
    const plain = await openFilesystemStorage({ path: this.repositoryPath, readOnly }, this.#deps());
    const storage = this.#options.wrapStorage?.(plain) ?? plain;
    const options = { storage, password: ENGINE_PASSWORD, readOnly, journalFolder: join(this.cacheFolder, 'journals') };
    return Repository.open(options, this.#deps(), this.#signal);
  }

  async use<T>(work: (repository: Repository) => Promise<T>): Promise<T> {
    const repository = await this.open();
    try {
      return await work(repository);
    } finally {
      await repository.close();
    }
  }

  /** Resolves when the snapshot is stored for good. */
  backUp(
    tree: string,
    more: { readonly source?: SnapshotSource; readonly parallel?: number; readonly compression?: string } = {},
  ): Promise<BackupResult> {
    return this.use((repository) =>
      backupTree(repository, { path: tree, source: ENGINE_SOURCE, ...more }, this.#deps(), this.#signal),
    );
  }

  /** As {@link backUp}, of what `input` yields. */
  backUpStream(name: string, input: AsyncIterable<Uint8Array>): Promise<BackupResult> {
    return this.use((repository) =>
      backupStream(repository, { name, source: ENGINE_SOURCE, input }, this.#deps(), this.#signal),
    );
  }

  restore(manifest: SnapshotManifest, target: string): Promise<RestoreReceipt> {
    return this.use((repository) =>
      restoreSnapshot(repository, { manifest, subPath: '', target, verify: true }, this.#deps(), this.#signal),
    );
  }

  /** For reading only, so that looking merges no manifests. */
  async list(): Promise<SnapshotManifest[]> {
    await using repository = await this.open(true);
    return await listSnapshots(repository.manifests, {}, this.#signal);
  }

  delete(id: SnapshotManifest['id']): Promise<void> {
    return this.use(async (repository) => {
      await deleteSnapshot(repository.manifests, id, this.#signal);
      await repository.flush(this.#signal);
    });
  }

  /** Reads every file of every snapshot; rejects on the first thing that is wrong. */
  verify(): Promise<void> {
    return this.use(async (repository) => {
      const manifests = await listSnapshots(repository.manifests, {}, this.#signal);
      const report = await verifySnapshots(repository, { manifests, percent: 100 }, this.#deps(), this.#signal);
      if (report.failureCount > 0) throw new Error(`verification: ${JSON.stringify(report.failures.slice(0, 5))}`);
    });
  }

  /** One cycle, by whoever owns maintenance or not. */
  maintain(options: Partial<MaintenanceOptions> = {}): Promise<MaintenanceReport> {
    const client = { username: ENGINE_SOURCE.userName, hostname: ENGINE_SOURCE.host };
    const wanted = { mode: 'full', safety: 'full', dryRun: false, force: true, client, ...options } as const;
    return this.use((repository) => runMaintenance(repository, wanted, this.#deps(), this.#signal));
  }

  #deps(): Omit<Required<RepositoryDeps>, 'deriveKey'> & Pick<RepositoryDeps, 'deriveKey'> {
    return {
      clock: this.#options.clock ?? systemClock,
      random: systemRandom,
      logger: silentLogger,
      ...(this.#options.realKeys === true ? {} : { deriveKey: cheapKeys }),
      processes: { self: `${process.pid}`, isGone: (owner) => !isAlive(Number(owner)) },
    };
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    // No such process.
    return false;
  }
}
