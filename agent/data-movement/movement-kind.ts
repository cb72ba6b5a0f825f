// What differs between the backup and the restore of a volume, as far as the way through the phases is concerned.
import type { Kind } from '../../kube/index.ts';
import type { Job } from '../datapath/job.ts';
import type { MoverResult } from '../datapath/mover-process.ts';
import type { ResolvedVolume } from '../host/volume-resolver.ts';
import type { RepositoryName } from '../repository/repository-access.ts';
import type { Label } from './policy.ts';
import type { Movement } from './subject.ts';

export interface MovementKind<T extends Movement> {
  readonly label: Label;
  readonly kind: Kind<T>;
  isOurs(movement: T): boolean;
  /** New and could be accepted here. */
  isReady(movement: T): boolean;
  /** Prepared, and its pod does not wait any more. */
  isTooLate?(movement: T): boolean;
  repositoryOf(movement: T): RepositoryName;
  /** Beside phase and time. */
  acceptedStatus(): object;
  job(movement: T, volume: ResolvedVolume, signal: AbortSignal): Promise<Job>;
  completed(movement: T, result: MoverResult): Completion;
  /**
   * Whoever waits for the volume is told before the object says that it has failed. Annotations that are answered are for
   * `afterwards`, which is then still to come.
   */
  beforeFailure?(movement: T, failure: Failure): Promise<Annotations | undefined>;
  /** What remains to be done for an object that has ended; true when it is not over yet. */
  afterwards?(movement: T): Promise<boolean>;
  /** It ended well, and its pod waits for it once more in a way that needs us. */
  isAwaitedAgain?(movement: T): boolean;
  tellAgain?(movement: T): Promise<void>;
}

export interface Failure {
  readonly code: string;
  readonly message: string;
}

export type Annotations = Readonly<Record<string, string>>;

export interface Completion {
  readonly status: object;
  readonly message?: string | undefined;
  /** Also told as an event of type Warning. */
  readonly warning?: string | undefined;
  readonly annotations?: Annotations;
  readonly keepFinalizer?: boolean;
}
