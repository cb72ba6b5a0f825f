// What every job of a data mover gets.
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import type { RandomSource } from '../../base/random.ts';
import type { StorageStats } from '../../repo-format/index.ts';
import type { Message } from '../datapath/job.ts';

export interface MoverContext {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What the store has been asked, and has answered. */
  readonly storageStats: StorageStats;
  /** Aborts when the agent says so, or is gone. */
  readonly signal: AbortSignal;
  send(message: Message): void;
  /** Asks the agent whether the pod is still there; `POD_GONE` when it is not. */
  confirmPod(): Promise<void>;
}
