// A small repository in memory whose clock tests move: clients that store and delete snapshots, and one that maintains it.
// Blobs carry the times of the same clock, so days pass in no time.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import { createMemoryStorage } from '../../repo-format/blob/memory.ts';
import type { BlobMetadata, BlobStorage } from '../../repo-format/blob/storage.ts';
import type { CreateFormatOptions } from '../../repo-format/format/create-format.ts';
import {
  deleteSnapshot,
  listSnapshots,
  type ManifestId,
  type ObjectId,
  parseDirectory,
  Repository,
  saveSnapshot,
  type SnapshotManifest,
  walkObject,
} from '../../repo-format/index.ts';
import {
  runMaintenance,
  type MaintenanceOptions,
  type MaintenanceReport,
} from '../../repo-format/maintenance/enter.ts';
import { CHEAP_KEY_ALGORITHM, cheapKeys } from './cheap-keys.ts';
import { memoryFolder } from './scratch.ts';
import { storeTree, type StoredTree } from './stored-tree.ts';
import { createTestClock, type TestClock } from './test-clock.ts';

const HOUR_MS = 3600 * 1000;
const OWNER = { username: 'user', hostname: 'host' };

export class MaintainedRepository {
  readonly clock: TestClock = createTestClock();
  readonly storage: BlobStorage;
  readonly #t: TestContext;
  readonly #folder: string;

  private constructor(t: TestContext) {
    this.#t = t;
    this.#folder = memoryFolder(t, 'maintained');
    const memory = createMemoryStorage({ clock: this.clock });
    this.storage = { ...memory, close: () => Promise.resolve() };
  }

  static async create(t: TestContext, options: Partial<CreateFormatOptions> = {}): Promise<MaintainedRepository> {
    const made = new MaintainedRepository(t);
    const format = { maxPackSizeBytes: 10 << 20, keyAlgo: CHEAP_KEY_ALGORITHM, ...options };
    const repository = await Repository.create({ ...made.#options(made.storage), ...format }, made.#deps(), t.signal);
    await repository.close();
    return made;
  }

  /** A client; closed by whoever opens it. */
  open(storage: BlobStorage = this.storage): Promise<Repository> {
    return Repository.open(this.#options(storage), this.#deps(), this.#t.signal);
  }

  passHours(hours: number): void {
    this.clock.advance(hours * HOUR_MS);
  }

  /** Stores a snapshot, in one session. */
  async store(tree: StoredTree): Promise<ManifestId> {
    await using repository = await this.open();
    return await this.storeWith(repository, tree);
  }

  async storeWith(repository: Repository, tree: StoredTree): Promise<ManifestId> {
    const manifest = await storeTree(this.#t, repository, tree);
    const nowNs = this.clock.nowNs();
    const id = saveSnapshot(repository.manifests, { ...manifest, startTimeNs: nowNs, endTimeNs: nowNs });
    await repository.flush(this.#t.signal);
    return id;
  }

  async delete(...ids: readonly ManifestId[]): Promise<void> {
    await using repository = await this.open();
    for (const id of ids) await deleteSnapshot(repository.manifests, id, this.#t.signal);
    await repository.flush(this.#t.signal);
  }

  async maintain(
    options: Partial<MaintenanceOptions> = {},
    storage: BlobStorage = this.storage,
  ): Promise<MaintenanceReport> {
    await using repository = await this.open(storage);
    const wanted: MaintenanceOptions = {
      mode: 'full',
      safety: 'full',
      dryRun: false,
      force: true,
      client: OWNER,
      ...options,
    };
    const { clock, random, logger } = this.#deps();
    return await runMaintenance(repository, wanted, { clock, random, logger }, this.#t.signal);
  }

  /** Reads every content of every snapshot; answers the ids. */
  async verify(): Promise<ManifestId[]> {
    await using repository = await this.open();
    const snapshots = await listSnapshots(repository.manifests, {}, this.#t.signal);
    const seen = new Set<string>();
    for (const snapshot of snapshots) await this.#verifySnapshot(repository, snapshot, seen);
    return snapshots.map(({ id }) => id);
  }

  async #verifySnapshot(repository: Repository, { rootEntry }: SnapshotManifest, seen: Set<string>): Promise<void> {
    assert.ok(rootEntry);
    const pending: { id: ObjectId; isDirectory: boolean }[] = [
      { id: rootEntry.objectId as ObjectId, isDirectory: rootEntry.type === 'd' },
    ];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (seen.has(next.id)) continue;
      seen.add(next.id);
      for await (const content of walkObject(repository, next.id, this.#t.signal)) {
        await repository.readContent(content, this.#t.signal);
      }
      if (!next.isDirectory) continue;
      for (const entry of parseDirectory(await repository.readObject(next.id, this.#t.signal)).entries) {
        pending.push({ id: entry.objectId as ObjectId, isDirectory: entry.type === 'd' });
      }
    }
  }

  async blobs(...prefixes: readonly string[]): Promise<BlobMetadata[]> {
    const found: BlobMetadata[] = [];
    for (const prefix of prefixes) {
      for await (const blob of this.storage.listBlobs(prefix, this.#t.signal)) found.push(blob);
    }
    return found;
  }

  /** Bytes of all packs. */
  async packBytes(): Promise<number> {
    return (await this.blobs('p', 'q')).reduce((sum, { length }) => sum + length, 0);
  }

  #options(storage: BlobStorage): { storage: BlobStorage; password: string; stagingFolder: string } {
    return { storage, password: 'maintained', stagingFolder: join(this.#folder, 'staging') };
  }

  #deps(): {
    clock: TestClock;
    random: typeof systemRandom;
    logger: typeof silentLogger;
    deriveKey: typeof cheapKeys;
  } {
    return { clock: this.clock, random: systemRandom, logger: silentLogger, deriveKey: cheapKeys };
  }
}
