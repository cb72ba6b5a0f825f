// What a maintenance task is: it looks (`plan`), says what it would do, and does it (`apply`). The cycle runs tasks one
// after the other and records each in the schedule; a dry run stops after looking.
import type { Clock } from '../../base/clock.ts';
import type { ExactJson } from '../../base/go-json.ts';
import type { Logger } from '../../base/logger.ts';
import type { RandomSource } from '../../base/random.ts';
import type { BlobStorage } from '../blob/storage.ts';
import type { ContentManager } from '../content/content-manager.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import type { EpochSnapshot } from '../epoch/snapshot.ts';
import type { OpenFormat } from '../format/open-format.ts';
import type { KeyedHash } from '../hash/keyed-hash.ts';
import type { ContentId } from '../index/content-id.ts';
import type { ManifestStore } from '../manifest/manifest-store.ts';
import type { ObjectId } from '../object/object-id.ts';
import type { ObjectReader } from '../object/object-reader.ts';
import type { MaintenanceParameters } from './parameters.ts';
import type { SafetyParameters } from './safety-parameters.ts';
import type { Schedule } from './schedule.ts';
import type { TaskName, TaskStats } from './task-name.ts';

export type { TaskName, TaskStats } from './task-name.ts';

export type MaintenanceMode = 'quick' | 'full';

/** What tasks need of a repository; `Repository` is one. */
export interface MaintainedRepository {
  readonly format: OpenFormat;
  readonly storage: BlobStorage;
  readonly contents: ContentManager;
  readonly manifests: ManifestStore;
  readonly readOnly: boolean;
  readContent(id: ContentId, signal: AbortSignal): Promise<Uint8Array>;
  readObject(id: ObjectId, signal: AbortSignal): Promise<Uint8Array>;
  openObject(id: ObjectId, signal: AbortSignal): Promise<ObjectReader>;
  flush(signal: AbortSignal): Promise<void>;
  refresh(signal: AbortSignal): Promise<void>;
}

/** How far a task has come. */
export interface TaskProgress {
  readonly task: TaskName;
  /** In the task's own unit. */
  readonly done: number;
  readonly total?: number;
  /** Plural: `contents`, `packs`. */
  readonly unit: string;
}

/** One cycle under way: what every task gets. */
export interface MaintenanceRun {
  readonly repository: MaintainedRepository;
  readonly mode: MaintenanceMode;
  readonly parameters: MaintenanceParameters;
  readonly safety: SafetyParameters;
  /** As of the end of the last task. */
  readonly schedule: Schedule;
  /**
   * The store's own time when the run began: what ages of contents and blobs are counted from. In a dry run, which writes
   * nothing that the store could stamp, this machine's time.
   */
  readonly startTimeMs: number;
  readonly dryRun: boolean;
  /** What the whole process is meant to stay below; undefined for no particular limit. */
  readonly memoryLimitBytes: number | undefined;
  readonly cipher: ContentCipher;
  readonly hash: KeyedHash;
  /** The state of epochs, read anew when it has aged or `changed` is given; not for repositories without epochs. */
  epochs(signal: AbortSignal): Promise<EpochSnapshot>;
  /** After a change of blobs that epochs are made of. */
  forgetEpochs(): void;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  progress(progress: TaskProgress): void;
}

/** What a task found. Reading `facts` and `summary` changes nothing. */
export type TaskPlan =
  | {
      /** A gate is closed or the repository is not of that kind: not run, and not recorded as run. */
      readonly kind: 'skip';
      readonly reason: string;
    }
  | {
      readonly kind: 'run';
      /** One line: what would be done, or that there is nothing to do. */
      readonly summary: string;
      /** The numbers behind it, for `--json`. */
      readonly facts: Readonly<Record<string, ExactJson>>;
      /**
       * Does it. May be cut off at any point, and whatever is left then is complete in itself. Resolves with the statistics
       * to record, undefined when there are none.
       */
      apply(signal: AbortSignal): Promise<TaskStats | undefined>;
    };

export interface Task {
  readonly name: TaskName;
  /** Lists, reads and decides; writes nothing. */
  plan(run: MaintenanceRun, signal: AbortSignal): Promise<TaskPlan>;
}
