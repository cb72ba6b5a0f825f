// What every command gets: its global options, where to write, and the clock, randomness, log and signal of this run.
import type { Clock } from '../base/clock.ts';
import { systemClock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { RandomSource } from '../base/random.ts';
import { systemRandom } from '../base/random.ts';
import type { BandwidthSchedule } from '../repo-format/blob/wrap/bandwidth.ts';
import type { Rollback } from '../repo-format/epoch/last-seen.ts';
import { isUsed, newStorageStats, type StorageStats } from '../repo-format/blob/wrap/counting.ts';
import { cacheRoot } from './cache-directory.ts';
import type { SourceDefaults } from '../repo-format/snapshot/source.ts';
import { defaultIdentity } from './identity.ts';
import { createLogger, type LogLevel } from './logger.ts';
import { veleroIdentity } from '../repo-format/velero/velero-identity.ts';
import { createOutput, type Output } from './terminal/output.ts';

/** The process as commands see it; tests hand in their own. */
export interface Runtime {
  readonly environment: NodeJS.ProcessEnv;
  readonly workingDirectory: string;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly signal: AbortSignal;
}

export interface GlobalOptions {
  readonly repository?: string;
  /** File with the BackupStorageLocation that the repository is in, instead of `repository`. */
  readonly backupStorageLocation?: string;
  readonly volumeNamespace?: string;
  readonly credentialsFile?: string;
  readonly caCert?: string;
  readonly passwordFile?: string;
  readonly cacheDir?: string;
  readonly cacheSizeLimit?: number;
  readonly memoryLimit?: number;
  readonly bwlimit?: BandwidthSchedule;
  readonly maxRequests?: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly logLevel: LogLevel;
}

export interface CliContext extends Runtime {
  readonly options: GlobalOptions;
  readonly output: Output;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: RandomSource;
  /** What completes a bare path to `user@host:/path`. */
  readonly identity: SourceDefaults;
  /** Root of the local caches; undefined where the environment names no home. */
  readonly cacheRoot: string | undefined;
  /** Ids of contents with manifests that could not be read: what was shown or done is not everything. */
  readonly lostManifests: string[];
  /** In what the repository is older than when it was last seen here. */
  readonly rollbacks: Rollback[];
  /** What went to object stores, of all that were opened. */
  readonly storageStats: StorageStats;
  /** A remark for people on standard error; nothing with `--quiet` or `--json`. */
  note(line: string): void;
}

export function createContext(runtime: Runtime, options: GlobalOptions): CliContext {
  const storageStats = newStorageStats();
  const silent = options.json === true || options.quiet === true;
  return {
    ...runtime,
    options,
    output: createOutput(runtime.stdout, options.json === true, () =>
      isUsed(storageStats) ? storageStats : undefined,
    ),
    logger: createLogger(options.logLevel),
    clock: systemClock,
    random: systemRandom,
    identity:
      options.backupStorageLocation === undefined
        ? defaultIdentity(runtime.environment, runtime.workingDirectory)
        : veleroIdentity(runtime.workingDirectory),
    cacheRoot: cacheRoot(options.cacheDir, runtime.environment),
    lostManifests: [],
    rollbacks: [],
    storageStats,
    note(line) {
      if (!silent) runtime.stderr.write(`${line}\n`);
    },
  };
}
