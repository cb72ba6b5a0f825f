// Entry of a backup lane: a worker thread that takes directories and large files from the main thread and does all of the
// work on them itself, synchronously. See docs/design/0005-lanes.md.
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { systemClock } from '../../base/clock.ts';
import { serializeError, WindlassError } from '../../base/errors.ts';
import { systemRandom } from '../../base/random.ts';
import { compressorForFile, ContentWriter, createSplitter, IndexSet, LaneReader, NewContents, ObjectWriter, readObjectSync } from '../../repo-format/index.ts';
import { errnoName, StatRecord } from '../posix/libc.ts';
import { DirectoryBackup, LaneStopped } from './directory-backup.ts';
import { factsOf } from './entry-facts.ts';
import { HintLog, HintTable } from './change-hints.ts';
import { FileStore } from './file-store.ts';
import type { FileJob, FileResult, FromLane, LaneInit, LaneResult, ToLane } from './lane-protocol.ts';
import { LaneSink } from './lane-sink.ts';
import { LaneProgress } from './progress.ts';

class Lane {
  readonly #init: LaneInit;
  readonly #post: (message: FromLane) => void;
  readonly #control: Int32Array;
  readonly #reader: LaneReader;
  readonly #writer: ContentWriter;
  readonly #files: FileStore;
  readonly #directories: DirectoryBackup;
  readonly #progress: LaneProgress;
  readonly #hintLog: HintLog | undefined;
  readonly #listed = new StatRecord();

  constructor(init: LaneInit, post: (message: FromLane) => void) {
    this.#init = init;
    this.#post = post;
    this.#control = new Int32Array(init.control);
    this.#reader = new LaneReader(init.reader);
    this.#progress = new LaneProgress(init.progress, init.laneNumber);
    const newContents = new NewContents(init.newContents);
    this.#writer = new ContentWriter(
      init.writer,
      { indexSet: this.#reader.indexSet, newContents },
      { random: systemRandom, clock: systemClock, onPack: (pack) => post({ type: 'pack', pack }) },
    );
    this.#writer.setSession(init.sessionId);
    const { options } = init;
    const splitter = createSplitter(options.splitterName, options.readBytes);
    const sink = new LaneSink(this.#writer, splitter, init.writer.indexVersion >= 2);
    const isStopped = (): boolean => Atomics.load(this.#control, 0) !== 0;
    this.#files = new FileStore(options, { writer: new ObjectWriter(sink, splitter), progress: this.#progress, isStopped });
    this.#hintLog = init.keepHints ? new HintLog() : undefined;
    this.#directories = new DirectoryBackup(options, {
      sink,
      hints: init.hints === undefined ? undefined : new HintTable(init.hints),
      hintLog: this.#hintLog,
      nowMs: () => systemClock.nowMs(),
      files: this.#files,
      progress: this.#progress,
      isStopped,
      readObject: (id) => readObjectSync((content) => this.#reader.readContent(content), id),
      indexSet: () => this.#reader.indexSet,
      warn: () => undefined,
      roll: () => Math.random() * 100,
    });
  }

  handle(message: ToLane): void {
    switch (message.type) {
      case 'jobs':
        this.#post({ type: 'results', results: message.jobs.map((job) => (job.kind === 'directory' ? this.#directories.run(job) : this.#file(job))) });
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
        this.#post({ type: 'finished', tails: this.#writer.takeOpenPacks(), stats: { ...this.#writer.stats }, hints: this.#hintLog?.take() ?? new Uint32Array(0) });
        break;
      }
      case 'exit':
        this.#reader.close();
        this.#writer.abandon();
        parentPort?.close();
        break;
    }
  }

  #file(job: FileJob): LaneResult {
    const { facts } = job;
    const listed = Object.assign(this.#listed, {
      mode: facts.mode,
      size: facts.size,
      dev: facts.dev,
      ino: facts.ino,
      inoHigh: Math.floor(facts.ino / 2 ** 32),
      inoLow: facts.ino >>> 0,
    });
    const outcome = this.#files.store({
      directoryFd: job.directoryFd,
      name: job.name,
      listed,
      compressor: compressorForFile(this.#init.options.compression, Buffer.from(job.name).toString('latin1'), facts.size),
      part: job.part,
    });
    const base = { kind: 'file', id: job.id, stored: undefined, failed: undefined, vanished: false } satisfies FileResult;
    if (outcome.kind === 'stopped') throw new LaneStopped();
    if (outcome.kind === 'vanished') return { ...base, vanished: true };
    if (outcome.kind === 'failed') {
      this.#progress.error();
      const code = errnoName(outcome.errno);
      return { ...base, failed: { path: job.path, code, message: `${outcome.call}: ${code}` } };
    }
    const { objectId, pieces, sparse, changed, rereads, size } = outcome;
    return { ...base, stored: { objectId, pieces, sparse, changed, rereads, facts: { ...factsOf(this.#files.after), size } } };
  }
}

/** Binds a lane to its port. Any failure ends the lane: what it had stored so far is the main thread's to judge. */
function main(): void {
  const port = parentPort;
  if (port === null) throw new WindlassError('a lane runs in a worker thread', { code: 'INTERNAL', context: { threadId } });
  const post = (message: FromLane): void => port.postMessage(message);
  const guarded = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      post(error instanceof LaneStopped ? { type: 'stopped' } : { type: 'error', error: serializeError(error) });
    }
  };
  guarded(() => {
    const lane = new Lane(workerData as LaneInit, post);
    port.on('message', (message: ToLane) => guarded(() => lane.handle(message)));
    post({ type: 'ready' });
  });
}

main();
