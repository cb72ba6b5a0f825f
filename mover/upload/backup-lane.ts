// Entry of a backup lane: a worker thread that takes directories and large files from the main thread and does all of the
// work on them itself, synchronously. See docs/design/0005-lanes-and-packs.md.
import { rmSync } from 'node:fs';
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { systemClock } from '../../base/clock.ts';
import { serializeError, WindlassError } from '../../base/errors.ts';
import { systemRandom } from '../../base/random.ts';
import {
  compressorForFile,
  ContentWriter,
  createSplitter,
  IndexSet,
  LaneReader,
  NewContents,
  ObjectWriter,
  readObjectSync,
  type StagedPack,
} from '../../repo-format/index.ts';
import { close, errnoName, StatRecord } from '../posix/libc.ts';
import { DirectoryBackup, LaneStopped } from './directory-backup.ts';
import { policyOf } from './directory-policy.ts';
import { factsOf } from './entry-facts.ts';
import { HintLog, HintTable } from './change-hints.ts';
import { FileStore } from './file-store.ts';
import type { FileJob, FileResult, FromLane, LaneInit, LaneJob, LaneResult, ToLane } from './lane-protocol.ts';
import { LaneSink } from './lane-sink.ts';
import { LaneProgress } from './progress.ts';
import { StagingRoom } from './staging-room.ts';
import { closeAll, SubtreeBackup } from './subtree-backup.ts';
import { UnchangedWalk } from './unchanged-walk.ts';

class Lane {
  readonly #init: LaneInit;
  readonly #post: (message: FromLane) => void;
  readonly #control: Int32Array;
  readonly #room: StagingRoom | undefined;
  readonly #reader: LaneReader;
  readonly #writer: ContentWriter;
  readonly #sink: LaneSink;
  /** One for each splitter that policies ask for, which is one in almost every tree. */
  readonly #stores = new Map<string, FileStore>();
  /** Asked for every entry. A plain read serves: it may see the order a moment late, and costs a tenth of an atomic one. */
  readonly #isStopped = (): boolean => this.#control[0] !== 0;
  readonly #subtrees: SubtreeBackup;
  readonly #progress: LaneProgress;
  readonly #hintLog: HintLog | undefined;
  readonly #listed = new StatRecord();

  constructor(init: LaneInit, post: (message: FromLane) => void) {
    this.#init = init;
    this.#post = post;
    this.#control = new Int32Array(init.control);
    this.#room = init.staging === undefined ? undefined : new StagingRoom(init.staging);
    this.#reader = new LaneReader(init.reader);
    this.#progress = new LaneProgress(init.progress, init.laneNumber);
    const newContents = new NewContents(init.newContents);
    this.#writer = new ContentWriter(
      init.writer,
      { indexSet: this.#reader.indexSet, newContents },
      { random: systemRandom, clock: systemClock, onPack: (pack) => this.#handOver(pack) },
    );
    this.#writer.setSession(init.sessionId);
    const { options } = init;
    this.#sink = new LaneSink(this.#writer, {
      splitterName: options.splitterName,
      supportsContentCompression: init.writer.indexVersion >= 2,
    });
    const sink = this.#sink;
    this.#hintLog = init.keepHints ? new HintLog() : undefined;
    const hints = init.hints === undefined ? undefined : new HintTable(init.hints);
    const directories = new DirectoryBackup(options, {
      sink,
      hints,
      hintLog: this.#hintLog,
      nowMs: () => systemClock.nowMs(),
      policies: init.policies,
      filesFor: (policy) => this.#storeOf(policy.splitterName),
      progress: this.#progress,
      isStopped: this.#isStopped,
      readObject: (id) => readObjectSync((content) => this.#reader.readContent(content), id),
      indexSet: () => this.#reader.indexSet,
      packsAreLost: options.packsAreLost,
      warn: () => undefined,
      roll: () => ((systemRandom.bytes(1)[0] ?? 0) / 256) * 100,
    });
    const isOver = (): boolean => this.#isStopped() || this.#subtrees.isOver();
    const walkDeps = { hintLog: this.#hintLog, nowMs: () => systemClock.nowMs(), isOver };
    this.#subtrees = new SubtreeBackup({
      directories,
      unchanged: hints === undefined ? undefined : new UnchangedWalk({ hints, ...walkDeps }),
      sink,
      metadataCompressorOf: (number) => policyOf(init.policies, number).metadataCompressor,
      now: () => systemClock.monotonicMs(),
    });
  }

  #handOver(pack: StagedPack): void {
    this.#post({ type: 'pack', pack });
    this.#room?.enter(this.#isStopped);
  }

  #storeOf(splitterName: string): FileStore {
    const present = this.#stores.get(splitterName);
    if (present !== undefined) return present;
    const { options } = this.#init;
    const splitter = createSplitter(splitterName, options.readBytes);
    const writer = new ObjectWriter(this.#sink, splitter);
    const store = new FileStore(options, { writer, progress: this.#progress, isStopped: this.#isStopped });
    this.#stores.set(splitterName, store);
    return store;
  }

  handle(message: ToLane): void {
    switch (message.type) {
      case 'jobs':
        this.#post({ type: 'results', results: this.#run(message.jobs) });
        break;
      case 'known': {
        const indexSet = IndexSet.fromTransferable(message.index);
        this.#reader.setIndex(indexSet);
        this.#writer.setKnown({ indexSet, newContents: new NewContents(message.newContents) });
        this.#writer.setSession(message.sessionId);
        break;
      }
      case 'finish': {
        // Unfinished packs are handed over as tails; the main thread joins those of all lanes.
        this.#post({
          type: 'finished',
          tails: this.#writer.takeOpenPacks(),
          stats: { ...this.#writer.stats },
          hints: this.#hintLog?.take() ?? new Uint32Array(0),
        });
        break;
      }
      case 'exit':
        this.close();
        parentPort?.close();
        break;
    }
  }

  /** Leaves nothing behind: packs that were not handed over are of no use to anyone. */
  close(): void {
    this.#reader.close();
    for (const path of this.#writer.abandon()) rmSync(path, { force: true });
  }

  /** All or nothing: results that will not be delivered leave no descriptors open. */
  #run(jobs: readonly LaneJob[]): LaneResult[] {
    const results: LaneResult[] = [];
    try {
      for (const job of jobs) results.push(job.kind === 'directory' ? this.#subtrees.run(job) : this.#file(job));
      return results;
    } catch (error) {
      for (const result of results) {
        if (result.kind !== 'directory' || result.open === undefined) continue;
        closeAll(result.open.openChildren);
        close(result.open.fd);
      }
      throw error;
    }
  }

  #file(job: FileJob): LaneResult {
    const { facts } = job;
    const listed = Object.assign(this.#listed, {
      mode: facts.mode,
      uid: facts.uid,
      gid: facts.gid,
      size: facts.size,
      blocks: facts.blocks,
      mtimeSeconds: facts.mtimeSeconds,
      mtimeNanoseconds: facts.mtimeNanos,
      ctimeSeconds: facts.ctimeSeconds,
      ctimeNanoseconds: facts.ctimeNanos,
      dev: facts.dev,
      ino: facts.ino,
      inoHigh: Math.floor(facts.ino / 2 ** 32),
      inoLow: facts.ino >>> 0,
    });
    const policy = policyOf(this.#init.policies, job.policyNumber);
    const files = this.#storeOf(policy.splitterName);
    const outcome = files.store({
      directoryFd: job.directoryFd,
      name: job.name,
      listed,
      compressor: compressorForFile(policy.compression, job.path, facts.size),
      metadataCompressor: policy.metadataCompressor,
      part: job.part,
    });
    const base = {
      kind: 'file',
      id: job.id,
      stored: undefined,
      failed: undefined,
      vanished: false,
    } satisfies FileResult;
    if (outcome.kind === 'stopped') throw new LaneStopped();
    if (outcome.kind === 'vanished') return { ...base, vanished: true };
    if (outcome.kind === 'failed') {
      this.#progress.error();
      const code = errnoName(outcome.errno);
      const message = `${outcome.call}: ${code}`;
      return { ...base, failed: { path: job.path, code, message, isIgnored: policy.ignoreFileErrors } };
    }
    const { objectId, pieces, sparse, changed, rereads, size } = outcome;
    if (job.isLastPart) this.#progress.file();
    return {
      ...base,
      stored: { objectId, pieces, sparse, changed, rereads, facts: factsOf(files.after), size },
    };
  }
}

/** Binds a lane to its port. Any failure ends the lane: what it had stored so far is the main thread's to judge. */
function main(): void {
  const port = parentPort;
  if (port === null)
    throw new WindlassError('a lane runs in a worker thread', { code: 'INTERNAL', context: { threadId } });
  const post = (message: FromLane): void => port.postMessage(message);
  let hasFailed = false;
  const guarded = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      hasFailed ||= !(error instanceof LaneStopped);
      post(error instanceof LaneStopped ? { type: 'stopped' } : { type: 'error', error: serializeError(error) });
    }
  };
  guarded(() => {
    const lane = new Lane(workerData as LaneInit, post);
    port.on('message', (message: ToLane) => {
      // A pack may be half-written: nothing that this lane says or stores from now on counts.
      if (!hasFailed || message.type === 'exit') guarded(() => lane.handle(message));
    });
    post({ type: 'ready' });
  });
}

main();
