// One open repository: wires the layers and owns the order in which they open and close. Everything above the format goes
// through this.
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { toHex } from '../base/hex.ts';
import { type Logger, silentLogger } from '../base/logger.ts';
import type { RandomSource } from '../base/random.ts';
import { FetchGate } from './blob/fetch-gate.ts';
import { PackFolder } from './blob/pack-folder.ts';
import { PackParts } from './blob/pack-parts.ts';
import type { BlobStorage } from './blob/storage.ts';
import { WorkFolder } from './blob/work-folder.ts';
import { CacheFolder, cacheKey } from './blob/wrap/cache-folder.ts';
import { CachedStorage } from './blob/wrap/cached.ts';
import { ContentManager } from './content/content-manager.ts';
import type { ContentWriterSpec, StagingSpec } from './content/content-writer.ts';
import { type CipherSpec, type ContentCipher, createContentCipher } from './crypto/content-cipher.ts';
import { requireRetention } from './format/apply-retention.ts';
import { createFormat, type CreateFormatOptions } from './format/create-format.ts';
import { encodeFormatReplica } from './format/format-replica.ts';
import { type FormatDeps, type OpenFormat, openFormat, type StoredFormat } from './format/open-format.ts';
import { finishPasswordChange } from './format/password-change.ts';
import { cipherSpecOf } from './format/repository-config.ts';
import type { ContentId } from './index/content-id.ts';
import type { IndexEntry } from './index/entry.ts';
import { ManifestStore } from './manifest/manifest-store.ts';
import { indexObjectId, type ObjectId, objectIdParts } from './object/object-id.ts';
import { openObject, type ObjectReader, readObject } from './object/object-reader.ts';
import type { Rollback } from './epoch/last-seen.ts';
import { type ListedEpochs, listEpochs } from './epoch/snapshot.ts';
import { RepositoryHistory } from './repository-history.ts';
import type { LaneReaderData } from './worker/lane-reader.ts';
import { type PackPort, servePacks } from './worker/pack-requests.ts';

export interface RepositoryOptions {
  readonly storage: BlobStorage;
  readonly password: string;
  /** The format blobs where they have just been read. */
  readonly storedFormat?: StoredFormat;
  /** False where no files can be made, as on a page in a browser: contents are then read one by one, and no lanes run. */
  readonly localCopies?: boolean;
  readonly readOnly?: boolean;
  /** Named in session markers, as `user@host`. */
  readonly username?: string;
  readonly hostname?: string;
  /** Folder of this repository's own for session journals; without it a killed run's packs are not taken over. */
  readonly journalFolder?: string | undefined;
  /**
   * Folder of this repository's own for what is fetched from and grows for a storage that is no local folder; without it
   * a temporary one is used, and nothing is kept for later runs.
   */
  readonly localFolder?: string | undefined;
  /** Hears when the repository is older than this machine has seen it, which is remembered in `localFolder`. */
  readonly onRollback?: (what: Rollback) => void;
  /** What copies of metadata packs and index blobs that are kept there may take; 0 to keep and use none. */
  readonly cacheBytes?: number;
  /** What parts of packs may take there while they are restored or verified. */
  readonly partBytes?: number;
  /** New contents remembered between two flushes; follows from `memoryLimitBytes` when absent. */
  readonly newContentsCapacity?: number;
  /** What the whole process is meant to stay below; undefined for no particular limit. */
  readonly memoryLimitBytes?: number | undefined;
  readonly outputBufferBytes?: number;
  /** Goes on without manifests that are lost, for reading and repair; see `ManifestStoreOptions.onLost`. */
  readonly onLostManifests?: ((contentId: ContentId, error: unknown) => void) | undefined;
}

export interface RepositoryDeps {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger?: Logger;
  readonly processes?: { readonly self: string; isGone(owner: string): boolean };
  /** For whoever has the key already: it takes a fifth of a second and 64 MiB. Tests give a cheap one. */
  readonly deriveKey?: FormatDeps['deriveKey'];
}

/**
 * A new content costs about 70 bytes until the flush, and the flush itself another 110 for each: half a million make
 * 90 MiB. Tight limits flush four times as often instead; each flush is one index blob.
 */
const DEFAULT_CAPACITY = 1 << 19;
const TIGHT_CAPACITY = 1 << 17;
const TIGHT_BELOW_BYTES = 512 << 20;

function capacityFor({ newContentsCapacity, memoryLimitBytes }: RepositoryOptions): number {
  if (newContentsCapacity !== undefined) return newContentsCapacity;
  return memoryLimitBytes !== undefined && memoryLimitBytes < TIGHT_BELOW_BYTES ? TIGHT_CAPACITY : DEFAULT_CAPACITY;
}

// Past 256 KiB, fewer and longer writes gained nothing (bench, small files).
const DEFAULT_OUTPUT_BUFFER_BYTES = 640 << 10;

/** Velero's. */
const DEFAULT_PASSWORD = 'static-passw0rd';

/** Without knowledge of other processes every journal counts as in use: nothing is taken over, nothing is lost. */
const UNKNOWN_PROCESSES = { self: 'unknown', isGone: () => false };

/** Past 8 requests at a time a link of 1 Gbit/s is full even at 100 ms, and memory grows: each holds a pack. */
const FETCH_REQUESTS = 8;
const PUT_REQUESTS = 4;
const DEFAULT_CACHE_BYTES = 5 * 2 ** 30;
/** Of the cache, for index blobs; metadata packs have the rest. */
const INDEX_SHARE = 0.25;
const NEVER = new AbortController().signal;
const DEFAULT_PART_BYTES = 2 ** 30;
/** Node itself, its heap, the index. */
const PROCESS_BYTES = 160 << 20;
/** Metadata packs that one run uses; they are links to what is kept, mostly. */
const RUN_PACK_BYTES = 2 * 2 ** 30;

/** What stands for local files where the store has none. */
interface LocalPacks {
  readonly work: WorkFolder;
  readonly folder: PackFolder;
  readonly gate: FetchGate;
  readonly putGate: FetchGate;
  readonly putBytes: number;
  readonly fetchBytes: number;
  readonly partBytes: number;
}

export class Repository {
  readonly format: OpenFormat;
  readonly storage: BlobStorage;
  readonly contents: ContentManager;
  readonly manifests: ManifestStore;
  readonly readOnly: boolean;
  /** Opened with the password that Velero uses where nobody has chosen one, and that everybody knows. */
  readonly hasDefaultPassword: boolean;
  readonly #history: RepositoryHistory | undefined;
  readonly #cipherSpec: CipherSpec;
  readonly #local: LocalPacks | undefined;
  #openedParts = 0;

  private constructor(parts: {
    format: OpenFormat;
    storage: BlobStorage;
    contents: ContentManager;
    manifests: ManifestStore;
    cipherSpec: CipherSpec;
    local: LocalPacks | undefined;
    readOnly: boolean;
    hasDefaultPassword: boolean;
    history: RepositoryHistory | undefined;
  }) {
    this.format = parts.format;
    this.storage = parts.storage;
    this.contents = parts.contents;
    this.manifests = parts.manifests;
    this.readOnly = parts.readOnly;
    this.hasDefaultPassword = parts.hasDefaultPassword;
    this.#history = parts.history;
    this.#cipherSpec = parts.cipherSpec;
    this.#local = parts.local;
  }

  /** Opens with a password; see `openFormat` for the failures. The storage is closed with the repository. */
  static async open(options: RepositoryOptions, deps: RepositoryDeps, signal: AbortSignal): Promise<Repository> {
    const { storage, password, storedFormat } = options;
    const earlyEpochs = beginEpochs(storage, deps, signal);
    const opened = await openFormat(storage, password, formatDeps(deps), signal, storedFormat);
    const format = options.readOnly === true ? opened : await finishPasswordChange(storage, opened, deps, signal);
    return Repository.#wire(format, options, deps, signal, earlyEpochs);
  }

  /** Creates an empty repository and opens it. `REPOSITORY_EXISTS` when the storage holds anything already. */
  static async create(
    options: RepositoryOptions & CreateFormatOptions,
    deps: RepositoryDeps,
    signal: AbortSignal,
  ): Promise<Repository> {
    const format = await createFormat(options.storage, options, formatDeps(deps), signal);
    return Repository.#wire(format, options, deps, signal);
  }

  static async #wire(
    format: OpenFormat,
    options: RepositoryOptions,
    deps: RepositoryDeps,
    signal: AbortSignal,
    earlyEpochs?: Promise<ListedEpochs>,
  ): Promise<Repository> {
    const { readOnly = false } = options;
    if (options.readOnly !== true) requireRetention(options.storage, format.blobConfig);
    const storage = cachedStorage(format, options, deps);
    const cipherSpec = cipherSpecOf(format.config);
    const cipher: ContentCipher = createContentCipher(cipherSpec);
    const local = isRemote(options, storage) ? localPacks(format, { ...options, storage }, deps) : undefined;
    const contents = await ContentManager.open(
      {
        spec: writerSpec(format, cipherSpec, options, local),
        readOnly,
        username: options.username ?? 'unknown',
        hostname: options.hostname ?? 'unknown',
        newContentsCapacity: capacityFor(options),
        journalFolder: options.journalFolder,
      },
      {
        storage,
        format,
        cipher,
        clock: deps.clock,
        random: deps.random,
        logger: deps.logger ?? silentLogger,
        processes: deps.processes ?? UNKNOWN_PROCESSES,
        ...(earlyEpochs === undefined ? {} : { earlyEpochs }),
        ...(local === undefined ? {} : { packs: local.folder, putGate: local.putGate }),
      },
      signal,
    );
    const manifests = new ManifestStore(
      contents.manifestBackend(),
      { clock: deps.clock, random: deps.random },
      { readOnly, onLost: options.onLostManifests },
    );
    const hasDefaultPassword = options.password === DEFAULT_PASSWORD;
    const history = historyOf(format, contents, options, deps);
    history?.look();
    return new Repository({
      format,
      storage,
      contents,
      manifests,
      cipherSpec,
      local,
      readOnly,
      hasDefaultPassword,
      history,
    });
  }

  /** Opens what this repository has sealed. */
  createCipher(): ContentCipher {
    return createContentCipher(this.#cipherSpec);
  }

  get uniqueIdHex(): string {
    return toHex(this.format.uniqueId);
  }

  /** `CONTENT_NOT_FOUND`, `CONTENT_CORRUPT`, `CONTENT_LOST`; the last two name pack, offset and length. */
  readContent(id: ContentId, signal: AbortSignal): Promise<Uint8Array> {
    return this.contents.readContent(id, signal);
  }

  /** Where a content is, as of the last refresh; it may be marked deleted and still be readable. */
  findContent(id: ContentId): IndexEntry | undefined {
    return this.contents.find(id);
  }

  /** A directory will be read: where packs are no local files, its pack begins to come. */
  wantSoon(id: ObjectId): void {
    if (this.#local === undefined || indexObjectId(id) !== undefined) return;
    const entry = this.contents.find(objectIdParts(id).contentId);
    if (entry === undefined || this.#local.folder.has(entry.packId)) return;
    // Whoever reads it is told what is wrong.
    this.#local.folder.ensure(entry.packId, NEVER).catch(() => undefined);
  }

  /** All bytes of a small object: a directory, a symlink's target. */
  readObject(id: ObjectId, signal: AbortSignal): Promise<Uint8Array> {
    return readObject(this, id, signal);
  }

  openObject(id: ObjectId, signal: AbortSignal): Promise<ObjectReader> {
    return openObject(this, id, signal);
  }

  /** Stores one content; visible to others after the next flush. */
  writeContent(prefix: string, bytes: Uint8Array, compressor: string, signal: AbortSignal): Promise<ContentId> {
    return this.contents.write(prefix, bytes, compressor, signal);
  }

  deleteContent(id: ContentId, signal: AbortSignal): Promise<void> {
    return this.contents.delete(id, signal);
  }

  /** Makes everything written since the last flush durable and visible, manifests included. */
  async flush(signal: AbortSignal): Promise<void> {
    await this.manifests.flush(signal);
    await this.contents.flush(signal);
  }

  /** Looks for what others have written meanwhile. */
  async refresh(signal: AbortSignal): Promise<void> {
    await this.contents.refresh(signal);
  }

  /**
   * What a worker thread needs to read contents by itself. Where the store has no local files, packs are read from a folder
   * into which they come when `packRequests` asks for them.
   */
  laneReaderData(): LaneReaderData {
    const layout = this.storage.localFiles?.layout ?? this.#local?.folder.layout;
    if (layout === undefined) throw new TypeError('neither local files nor a folder in their place');
    return { cipher: this.#cipherSpec, index: this.contents.indexSet.transferable(), layout };
  }

  /** What may be held in memory of packs that are being fetched. */
  get fetchBytes(): number {
    return this.#local?.fetchBytes ?? 0;
  }

  /** What may be held in memory of packs that are being put; 0 where they need not be. */
  get putBytes(): number {
    return this.#local?.putBytes ?? 0;
  }

  /**
   * For one restore or verification: what brings the ranges of packs that it wants, within a budget of disk space. Lanes read
   * from its layout. Undefined where packs are local files. To be closed; after `signal` nothing comes any more.
   */
  openPackParts(signal: AbortSignal): PackParts | undefined {
    if (this.#local === undefined) return undefined;
    const { work, gate, partBytes } = this.#local;
    const path = join(work.path, `parts-${this.#openedParts++}`);
    return new PackParts({ path, budgetBytes: partBytes }, { storage: this.storage, gate }, signal);
  }

  /**
   * For one worker thread, to be put into its `LaneReaderData`: how it gets packs that are not there. The port must be in the
   * transfer list. Undefined where packs are local files. After `signal` no pack comes any more.
   */
  packRequests(signal: AbortSignal): PackPort | undefined {
    return this.#local === undefined ? undefined : servePacks(this.#local.folder, signal);
  }

  /** Drops what was not flushed and closes the storage. */
  async close(): Promise<void> {
    try {
      this.#history?.remember();
      await this.contents.close();
      await this.#local?.folder.close();
      await this.#local?.work.remove();
    } finally {
      await this.storage.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Of a distant store the lists of indexes come while the key is derived from the password, which takes 0.2 s on another
 * thread. Where there are no epochs, or the password is wrong, nobody looks at them.
 */
function beginEpochs(
  storage: BlobStorage,
  { clock }: RepositoryDeps,
  signal: AbortSignal,
): Promise<ListedEpochs> | undefined {
  if (storage.localFiles !== undefined) return undefined;
  const listed = listEpochs({ storage, clock }, signal);
  listed.catch(() => undefined);
  return listed;
}

function historyOf(
  format: OpenFormat,
  contents: ContentManager,
  { localFolder, onRollback = () => undefined }: RepositoryOptions,
  { random, logger = silentLogger }: RepositoryDeps,
): RepositoryHistory | undefined {
  if (localFolder === undefined) return undefined;
  const key = cacheKey(format.config.secret, format.uniqueId);
  const deps = { format, contents, random, logger, onRollback };
  return new RepositoryHistory(join(localFolder, 'last-seen'), key, deps);
}

/** Local folders need none. */
function cachedStorage(
  { config, uniqueId }: OpenFormat,
  options: RepositoryOptions,
  deps: RepositoryDeps,
): BlobStorage {
  const { storage, localFolder, cacheBytes = DEFAULT_CACHE_BYTES } = options;
  if (localFolder === undefined || cacheBytes === 0 || storage.localFiles !== undefined) return storage;
  const { clock, random, logger = silentLogger } = deps;
  const path = join(localFolder, 'indexes');
  const key = cacheKey(config.secret, uniqueId);
  const folder = CacheFolder.open({ path, limitBytes: cacheBytes * INDEX_SHARE, key }, { clock, random, logger });
  return folder === undefined ? storage : new CachedStorage(storage, folder);
}

function formatDeps(deps: RepositoryDeps): FormatDeps {
  const { clock, random, logger, deriveKey } = deps;
  return {
    clock,
    random,
    ...(logger === undefined ? {} : { logger }),
    ...(deriveKey === undefined ? {} : { deriveKey }),
  };
}

/** Packs get local copies where they are no local files, and files can be made. */
function isRemote({ localCopies = true }: RepositoryOptions, storage: BlobStorage): boolean {
  return localCopies && storage.localFiles === undefined;
}

function localPacks(format: OpenFormat, options: RepositoryOptions, deps: RepositoryDeps): LocalPacks {
  const { storage, localFolder, cacheBytes = DEFAULT_CACHE_BYTES } = options;
  const { random, clock, processes = UNKNOWN_PROCESSES } = deps;
  const parent = localFolder === undefined ? tmpdir() : join(localFolder, 'work');
  const work = new WorkFolder(parent, { random, processes });
  work.sweep();
  const packBytes = format.config.maxPackSizeBytes;
  const fetchBytes = fetchBytesWithin(options.memoryLimitBytes, packBytes);
  const gate = new FetchGate({ requests: FETCH_REQUESTS, bytes: fetchBytes });
  const folder = new PackFolder(
    {
      path: join(work.path, 'packs'),
      keptPath: localFolder === undefined || cacheBytes === 0 ? undefined : join(localFolder, 'packs'),
      keptBytes: cacheBytes * (1 - INDEX_SHARE),
      runBytes: RUN_PACK_BYTES,
      packBytes,
    },
    { storage, gate, random, clock },
  );
  const putBytes = Math.max(packBytes, Math.min(PUT_REQUESTS * packBytes, fetchBytes));
  const putGate = new FetchGate({ requests: PUT_REQUESTS, bytes: putBytes });
  return { work, folder, gate, putGate, putBytes, fetchBytes, partBytes: options.partBytes ?? DEFAULT_PART_BYTES };
}

/**
 * A quarter of what a limit leaves for anything but the process itself, since a pack that was written to its file still takes
 * memory until it is collected; at least one pack at a time.
 */
function fetchBytesWithin(memoryLimitBytes: number | undefined, packBytes: number): number {
  const most = FETCH_REQUESTS * packBytes;
  if (memoryLimitBytes === undefined) return most;
  return Math.max(packBytes, Math.min(most, Math.floor((memoryLimitBytes - PROCESS_BYTES) / 4)));
}

function writerSpec(
  format: OpenFormat,
  cipher: CipherSpec,
  options: RepositoryOptions,
  local: LocalPacks | undefined,
): ContentWriterSpec {
  const { config } = format;
  return {
    hash: config.hash,
    secret: config.secret,
    cipher,
    indexVersion: config.indexVersion,
    maxPackSizeBytes: config.maxPackSizeBytes,
    staging: stagingOf(options.storage, local),
    formatReplica: config.enablePasswordChange ? new Uint8Array(0) : encodeFormatReplica(format.formatBlobBytes),
    outputBufferBytes: options.outputBufferBytes ?? DEFAULT_OUTPUT_BUFFER_BYTES,
  };
}

function stagingOf({ localFiles }: BlobStorage, local: LocalPacks | undefined): StagingSpec {
  if (localFiles !== undefined) return { kind: 'layout', layout: localFiles.layout };
  return { kind: 'folder', path: local === undefined ? '' : join(local.work.path, 'staging') };
}
