// The content layer of a small repository, in memory or in a folder, opened as often as a test likes. Packs are tiny, so
// that a few contents fill several.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type Logger, silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import { openFilesystemStorage } from '../../repo-format/blob/filesystem.ts';
import { createMemoryStorage } from '../../repo-format/blob/memory.ts';
import type { BlobId, BlobStorage } from '../../repo-format/blob/storage.ts';
import { ContentManager } from '../../repo-format/content/content-manager.ts';
import type { ContentWriterSpec } from '../../repo-format/content/content-writer.ts';
import { type ContentCipher, createContentCipher } from '../../repo-format/crypto/content-cipher.ts';
import { loadIndexSet } from '../../repo-format/epoch/load-index.ts';
import { createFormat, type CreateFormatOptions } from '../../repo-format/format/create-format.ts';
import { encodeFormatReplica } from '../../repo-format/format/format-replica.ts';
import type { OpenFormat } from '../../repo-format/format/open-format.ts';
import { cipherSpecOf } from '../../repo-format/format/repository-config.ts';
import type { IndexSet } from '../../repo-format/index/index-set.ts';
import { CHEAP_KEY_ALGORITHM, cheapKeys } from './cheap-keys.ts';
import { memoryFolder } from './scratch.ts';
import { createTestClock, type TestClock } from './test-clock.ts';

export interface ContentRepositoryOptions extends Partial<CreateFormatOptions> {
  readonly kind: 'memory' | 'filesystem';
  readonly packBytes?: number;
  readonly outputBufferBytes?: number;
  readonly newContentsCapacity?: number;
}

export interface OpenContentsOptions {
  /** In place of the repository's own. */
  readonly storage?: BlobStorage;
  readonly readOnly?: boolean;
  /** The process in whose name journals are written; default `me`. */
  readonly owner?: string;
  /** Processes that are gone. */
  readonly gone?: readonly string[];
  readonly journals?: boolean;
  readonly logger?: Logger;
}

export interface ContentRepository {
  readonly storage: BlobStorage;
  readonly clock: TestClock;
  readonly format: OpenFormat;
  readonly cipher: ContentCipher;
  readonly spec: ContentWriterSpec;
  readonly stagingFolder: string;
  readonly journalFolder: string;
  /** Another client; closed at the end of the test. */
  open(options?: OpenContentsOptions): Promise<ContentManager>;
  /** What a client that opens the repository now would know. */
  loadIndex(): Promise<IndexSet>;
  blobNames(prefix: string): Promise<string[]>;
  /** Files beside the blobs that are none: what a crash may leave. */
  stagingFiles(): string[];
}

const DEFAULT_PACK_BYTES = 4000;

export async function createContentRepository(
  t: TestContext,
  options: ContentRepositoryOptions,
): Promise<ContentRepository> {
  const folder = memoryFolder(t, 'contents');
  const clock = createTestClock();
  const random = systemRandom;
  const storage =
    options.kind === 'memory'
      ? createMemoryStorage({ clock })
      : await openFilesystemStorage({ path: join(folder, 'blobs'), create: 'current' }, { random });
  const { kind: _, packBytes = DEFAULT_PACK_BYTES, newContentsCapacity = 1000, ...format } = options;
  const open = await createFormat(
    storage,
    { password: 'pw', keyAlgo: CHEAP_KEY_ALGORITHM, ...format },
    { clock, random, deriveKey: cheapKeys },
    t.signal,
  );
  const spec = writerSpec(open, storage, { packBytes, stagingFolder: join(folder, 'staging'), ...options });
  const cipher = createContentCipher(spec.cipher);
  const names = async (prefix: string): Promise<string[]> => {
    const found: BlobId[] = [];
    for await (const { id } of storage.listBlobs(prefix, t.signal)) found.push(id);
    return found.sort();
  };
  return {
    storage,
    clock,
    format: open,
    cipher,
    spec,
    stagingFolder: join(folder, 'staging'),
    journalFolder: join(folder, 'journals'),
    async open(more = {}) {
      const { owner = 'me', gone = [], journals = true, logger = silentLogger, readOnly = false } = more;
      const manager = await ContentManager.open(
        {
          spec,
          readOnly,
          username: 'user',
          hostname: 'host',
          newContentsCapacity,
          journalFolder: journals ? join(folder, 'journals') : undefined,
        },
        {
          storage: more.storage ?? storage,
          format: open,
          cipher,
          clock,
          random,
          logger,
          processes: { self: owner, isGone: (name) => gone.includes(name) },
        },
        t.signal,
      );
      t.after(() => manager.close());
      return manager;
    },
    async loadIndex() {
      return (await loadIndexSet({ storage, cipher, clock, config: open.config }, t.signal)).indexSet;
    },
    blobNames: names,
    stagingFiles: () => [...filesBelow(join(folder, 'staging'), /./), ...filesBelow(join(folder, 'blobs'), /\.tmp\./)],
  };
}

function writerSpec(
  { config, formatBlobBytes }: OpenFormat,
  storage: BlobStorage,
  options: { packBytes: number; stagingFolder: string; outputBufferBytes?: number },
): ContentWriterSpec {
  const layout = storage.localFiles?.layout;
  return {
    hash: config.hash,
    secret: config.secret,
    cipher: cipherSpecOf(config),
    indexVersion: config.indexVersion,
    maxPackSizeBytes: options.packBytes,
    staging: layout === undefined ? { kind: 'folder', path: options.stagingFolder } : { kind: 'layout', layout },
    formatReplica: config.enablePasswordChange ? new Uint8Array(0) : encodeFormatReplica(formatBlobBytes),
    outputBufferBytes: options.outputBufferBytes ?? 2000,
  };
}

function filesBelow(folder: string, pattern: RegExp): string[] {
  try {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile() && pattern.test(entry.name)).map(({ name }) => name);
  } catch {
    return []; // the folder was never needed
  }
}
