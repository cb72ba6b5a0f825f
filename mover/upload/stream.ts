// Backs up a stream of bytes as the only file of a directory, as kopia does for its own standard input. The stream is read
// once, on the main thread; what was read counts as a snapshot only when the stream ended without an error.
import type { Clock } from '../../base/clock.ts';
import { WindlassError } from '../../base/errors.ts';
import {
  compressorForFile,
  createSplitter,
  DIRECTORY_PREFIX,
  EMPTY_STATS,
  encodeDirectory,
  encodeEntry,
  loadPolicyTree,
  loadSnapshot,
  metadataCompressor,
  ObjectWriter,
  type Repository,
  saveSnapshot,
  type SnapshotSource,
  SummaryBuilder,
  writeObject,
} from '../../repo-format/index.ts';
import { applyRetention } from './apply-retention.ts';
import type { BackupDeps, BackupResult } from './backup.ts';
import { forgetLostPacks } from './lost-packs.ts';
import { MainSink } from './main-sink.ts';

export interface StreamOptions {
  /** Name of the file: not empty, no `/`, no NUL, not `.` or `..`. */
  readonly name: string;
  readonly source: SnapshotSource;
  readonly input: AsyncIterable<Uint8Array | string>;
  readonly description?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly pins?: readonly string[];
  readonly compression?: string;
  /** Trust the index: do not look whether the packs that it names exist. */
  readonly skipPackCheck?: boolean;
}

const READ_AHEAD_BYTES = 1 << 20;
const FLUSH_MS = 10 * 60 * 1000;
const TICK_MS = 250;
/** Of the contents remembered between two flushes: past it, duplicates would not be noticed any more. */
const FULL_SHARE = 0.75;

/** Stores everything `input` yields. Rejects, without a snapshot, when it fails; `SOURCE_INVALID` for an impossible name. */
export async function backupStream(
  repository: Repository,
  options: StreamOptions,
  deps: BackupDeps,
  signal: AbortSignal,
): Promise<BackupResult> {
  const { name, source } = options;
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
    throw new WindlassError(`a stream cannot be named ${JSON.stringify(name)}`, { code: 'SOURCE_INVALID' });
  }
  const { contents, manifests, format } = repository;
  const policies = await loadPolicyTree(manifests, source, signal);
  const { policy } = policies.effective;
  const { skipPackCheck: isSkipped = false } = options;
  await forgetLostPacks(repository, { isSkipped, logger: deps.logger }, signal);
  const start = deps.clock.nowNs();
  const before = { ...contents.writer.stats };
  const adoptedBefore = contents.adoptedPacks;
  await contents.startSession(signal);
  const sink = new MainSink(contents, format.config);
  const metadata = metadataCompressor(policy);
  // The size is not known before the end, so limits on it do not apply.
  const compressor =
    options.compression ?? compressorForFile({ ...policy.compression, minSize: 0, maxSize: 0 }, name, 0);
  const splitterName = policy.splitter?.algorithm || format.config.splitter;
  const writer = new ObjectWriter(sink, createSplitter(splitterName, READ_AHEAD_BYTES), {
    compressor,
    metadataCompressor: metadata,
  });
  await feed(writer, options.input, repository, deps, signal);
  const objectId = writer.result();
  const size = writer.length;
  const seconds = Number(start / 1_000_000_000n);
  const nanos = Number(start % 1_000_000_000n);
  const times = { mtimeSeconds: seconds, mtimeNanos: nanos };
  const entry = encodeEntry({ name, type: 'f', mode: 0o644, size, uid: 0, gid: 0, objectId, ...times });
  const counter = new SummaryBuilder();
  counter.addFile(size, seconds, nanos);
  const summary = counter.build(seconds, nanos);
  const directory = encodeDirectory({ dirEntryTexts: [], otherEntryTexts: [entry], summary, ...times });
  const rootId = writeObject(sink, directory, {
    prefix: DIRECTORY_PREFIX,
    compressor: metadata,
    metadataCompressor: metadata,
  });
  const id = saveSnapshot(manifests, {
    source,
    description: options.description ?? '',
    startTimeNs: start,
    endTimeNs: deps.clock.nowNs(),
    stats: { ...EMPTY_STATS, totalSize: size, fileCount: 1, nonCachedFiles: 1, dirCount: 1 },
    rootEntry: { name, type: 'd', mode: 0o755, uid: 0, gid: 0, objectId: rootId, summary, ...times },
    tags: options.tags,
    pins: options.pins,
  });
  await repository.flush(signal);
  const expired = await applyRetention(repository, source, policies, deps.logger, signal);
  const { stats } = contents.writer;
  return {
    manifest: await loadSnapshot(manifests, id, signal),
    errors: [],
    ignoredErrors: [],
    consistency: { status: 'exact', changed: 0, vanished: 0, rereads: 0, paths: [] },
    expired,
    bytesHashed: stats.hashedBytes - before.hashedBytes,
    bytesUploaded: stats.packedBytes - before.packedBytes,
    newContents: stats.newContents - before.newContents,
    resumedPacks: contents.adoptedPacks - adoptedBefore,
  };
}

async function feed(
  writer: ObjectWriter,
  input: StreamOptions['input'],
  repository: Repository,
  deps: BackupDeps,
  signal: AbortSignal,
): Promise<void> {
  const { contents } = repository;
  const startedMs = deps.clock.monotonicMs();
  let reportedMs = startedMs;
  let flushedMs = startedMs;
  const before = contents.writer.stats.packedBytes;
  for await (const piece of untilAborted(input, signal)) {
    writer.write(typeof piece === 'string' ? Buffer.from(piece) : piece);
    await contents.storeFullPacks(signal);
    const now = deps.clock.monotonicMs();
    const isFull = contents.pendingContents > contents.newContentsCapacity * FULL_SHARE;
    if (isFull || now - flushedMs >= FLUSH_MS) {
      // Keeps the session short; what it held is found again by its hash if the stream is sent once more.
      await contents.flush(signal);
      await contents.startSession(signal);
      flushedMs = now;
    }
    if (now - reportedMs >= TICK_MS) {
      reportedMs = now;
      report(writer, contents.writer.stats.packedBytes - before, deps, now - startedMs);
    }
  }
}

/** The pieces of `input`; a stop does not wait for the next one. */
async function* untilAborted<T>(input: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = input[Symbol.asyncIterator]();
  let stop: (reason: unknown) => void = () => undefined;
  const onAbort = (): void => stop(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  let isDone = false;
  try {
    for (;;) {
      signal.throwIfAborted();
      // A promise of its own for each piece: one for all of them would remember every piece that raced it.
      const next = await new Promise<IteratorResult<T>>((resolve, reject) => {
        stop = reject;
        iterator.next().then(resolve, reject);
      });
      isDone = next.done === true;
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Not awaited: a generator that waits for its own source would never answer.
    if (!isDone) void iterator.return?.()?.catch(() => undefined);
  }
}

function report(
  writer: ObjectWriter,
  uploadedBytes: number,
  deps: { progress?: BackupDeps['progress']; clock: Clock },
  elapsedMs: number,
): void {
  deps.progress?.({
    files: 0,
    cachedFiles: 0,
    hashedBytes: writer.length,
    cachedBytes: 0,
    directories: 0,
    errors: 0,
    uploadedBytes,
    estimatedFiles: undefined,
    estimatedBytes: undefined,
    elapsedMs,
  });
}
