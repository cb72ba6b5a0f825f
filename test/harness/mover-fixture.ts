// What a data mover needs: a volume where the kubelet would have it, and a repository as Velero has one, in a folder.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../base/clock.ts';
import { type Logger, silentLogger } from '../../base/logger.ts';
import { systemRandom } from '../../base/random.ts';
import { startMover, type MoverProcess } from '../../agent/datapath/mover-process.ts';
import type {
  BackupJob,
  BackupOutcome,
  DerivedKey,
  Job,
  Message,
  RepositoryAccess,
  RestoreJob,
  RestoreOutcome,
  VolumePlace,
} from '../../agent/datapath/job.ts';
import { runBackupJob } from '../../agent/mover-process/backup-job.ts';
import type { MoverContext } from '../../agent/mover-process/context.ts';
import { runRestoreJob } from '../../agent/mover-process/restore-job.ts';
import {
  type DeriveFormatKey,
  listSnapshots,
  newStorageStats,
  Repository,
  type SnapshotManifest,
} from '../../repo-format/index.ts';
import {
  locationStore,
  openLocationStorage,
  openVeleroRepository,
  podVolumePath,
} from '../../repo-format/velero/index.ts';
import { CHEAP_KEY_ALGORITHM, cheapKeys } from './cheap-keys.ts';
import { memoryFolder, type CleanUp } from './scratch.ts';

const PASSWORD = 'static-passw0rd';
const NAMESPACE = 'shop';

/** `on` is called in the middle of the job, with each message; nothing else happens meanwhile. */
export interface JobOptions {
  readonly on?: (message: Message) => void;
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  /** Rejects when the pod is gone. */
  readonly confirmPod?: () => Promise<void>;
}

export class MoverFixture {
  readonly folder: string;
  readonly repositoryPath: string;
  readonly access: RepositoryAccess;
  readonly #signal: AbortSignal = new AbortController().signal;

  private constructor(folder: string, derivedKey: () => DerivedKey | undefined) {
    this.folder = folder;
    const store = join(folder, 'store');
    this.repositoryPath = join(store, 'kopia', NAMESPACE);
    this.access = {
      location: {
        name: 'default',
        provider: 'velero.io/fs',
        bucket: '',
        prefix: '',
        config: { fspath: store },
        readOnly: false,
      },
      volumeNamespace: NAMESPACE,
      password: PASSWORD,
      // Asked for when a job is written: deriving keys is most of the time of a small job.
      get derivedKey() {
        return derivedKey();
      },
      cacheRoot: join(folder, 'cache'),
    };
  }

  /** `realKeys`: derived as always, for tests of passwords. */
  static async create(t: CleanUp, { realKeys = false } = {}): Promise<MoverFixture> {
    let derivedKey: DerivedKey | undefined;
    const fixture = new MoverFixture(memoryFolder(t, 'mover'), () => derivedKey);
    const deriveKey: DeriveFormatKey = async (algorithm, password, salt) => {
      const key = await cheapKeys(algorithm, password, salt);
      const [saltText, keyText] = [salt, key].map((bytes) => Buffer.from(bytes).toString('base64')) as [string, string];
      derivedKey = { algorithm, password, salt: saltText, key: keyText };
      return key;
    };
    const storage = await openLocationStorage(
      fixture.#located(),
      { readOnly: false, create: true },
      fixture.#deps(),
      fixture.#signal,
    );
    const repository = await Repository.create(
      { storage, password: PASSWORD, ...(realKeys ? {} : { keyAlgo: CHEAP_KEY_ALGORITHM }) },
      { ...fixture.#deps(), deriveKey },
      fixture.#signal,
    );
    await repository.close();
    return fixture;
  }

  /** A new, empty volume. */
  volume(pod: string): VolumePlace & { readonly path: string } {
    const root = join(this.folder, 'pods');
    const names = [pod, 'volumes', 'kubernetes.io~empty-dir', 'data'];
    const path = join(root, ...names);
    mkdirSync(path, { recursive: true });
    return { root, names, isMount: false, path };
  }

  backupJob(volume: VolumePlace, more: Partial<BackupJob> = {}): BackupJob {
    return {
      kind: 'backup',
      subject: { podVolumeBackup: 'velero/daily-1' },
      volume,
      repository: this.access,
      sourcePath: podVolumePath(NAMESPACE, 'db-0', 'data'),
      runId: 'run-1',
      onUnreadable: 'report',
      ...more,
    };
  }

  restoreJob(volume: VolumePlace, snapshotId: string, more: Partial<RestoreJob> = {}): RestoreJob {
    return {
      kind: 'restore',
      subject: { podVolumeRestore: 'velero/again-1' },
      volume,
      repository: this.access,
      snapshotId,
      restoreUid: 'restore-uid',
      runId: 'restore-run',
      receiptFolder: join(this.folder, 'receipts'),
      isSparse: false,
      isAwaited: true,
      onNotEmpty: 'overwrite',
      ...more,
    };
  }

  /** In this process. */
  backUp(job: BackupJob, options: JobOptions = {}): Promise<BackupOutcome> {
    return runBackupJob(job, this.#context(options));
  }

  /** In this process. */
  restore(job: RestoreJob, options: JobOptions = {}): Promise<RestoreOutcome> {
    return runRestoreJob(job, this.#context(options));
  }

  /** In a process of its own, as the agent starts it. Before it stores anything it asks whether the pod is there: it is. */
  start(job: Job, on: (message: Message, mover: MoverProcess) => void = answerPod): MoverProcess {
    const mover = startMover(job, {
      onMessage: (message) => on(message, mover),
      environment: { PATH: process.env['PATH'] },
      compileCache: process.env['NODE_COMPILE_CACHE'],
      logger: silentLogger,
    });
    return mover;
  }

  /** All that are in the repository, unfinished ones too. */
  async snapshots(): Promise<SnapshotManifest[]> {
    const options = { password: PASSWORD, readOnly: true };
    const { repository } = await openVeleroRepository(this.#located(), options, this.#deps(), this.#signal);
    await using opened = repository;
    return await listSnapshots(opened.manifests, {}, this.#signal);
  }

  #located() {
    return locationStore(this.access.location, { volumeNamespace: NAMESPACE });
  }

  #deps() {
    return {
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      environment: {},
      storageStats: newStorageStats(),
      deriveKey: cheapKeys,
    };
  }

  #context({
    on = () => undefined,
    signal = this.#signal,
    logger = silentLogger,
    confirmPod = () => Promise.resolve(),
  }: JobOptions): MoverContext {
    return { ...this.#deps(), logger, signal, send: on, confirmPod };
  }
}

function answerPod({ type }: Message, mover: MoverProcess): void {
  if (type === 'confirm') mover.answer({});
}
