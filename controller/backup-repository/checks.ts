// Looks at repositories themselves, and remembers what was found: whether each is there, set up and opens with the password.
import { hash } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { isAbortError, serializeError, type SerializedError, WindlassError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { RandomSource } from '../../base/random.ts';
import type { BackupRepository, BackupStorageLocation, Secrets } from '../../kube/index.ts';
import { newStorageStats } from '../../repo-format/index.ts';
import {
  locationStore,
  type PreparedRepository,
  prepareVeleroRepository,
  readLocation,
  readLocationSecrets,
  readRepositoryPasswords,
  type RepositoryPasswords,
} from '../../repo-format/velero/index.ts';
import type { CheckView, LocationView } from './policy.ts';
import { fullIntervalNs } from './repository-config.ts';

export interface CheckDeps {
  readonly secrets: Secrets;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Whoever opens repositories, on any node, knows of new passwords by then. */
  readonly rekeyAfterMs: number;
  /** Whether a namespace may have a Secret of its own with its repository's password. */
  readonly perNamespacePasswords: boolean;
  readonly onChecked?: (result: 'ready' | 'failed', seconds: number) => void;
}

export type CheckResult =
  | { readonly is: 'ready'; readonly prepared: PreparedRepository }
  | { readonly is: 'failed'; readonly error: SerializedError }
  /** The location is busy with others of its repositories. */
  | { readonly is: 'later' };

interface Remembered extends CheckView {
  readonly failures: number;
  readonly seen: string | undefined;
}

/** How often a repository that was well is looked at. */
const CHECK_MS = 5 * 60_000;
const FIRST_RETRY_MS = 5_000;
/** A store that does not answer holds up nobody for longer. */
const TIMEOUT_MS = 2 * 60_000;
/** Of one location: each holds 64 MiB while a key is derived, and one that is dead must not have all workers. */
const MAX_OF_LOCATION = 4;

export class Checks {
  readonly #deps: CheckDeps;
  /** By the UID of the repository. */
  readonly #known = new Map<string, Remembered>();
  readonly #running = new Map<string, number>();
  /** Since when the common Secret is as it is; it is watched. */
  #commonSinceMs: number;
  /** By volume namespace: nobody tells of a change of its own Secret, so a look at the repository finds it. */
  readonly #ownSince = new Map<string, { readonly fingerprint: string; readonly sinceMs: number }>();

  constructor(deps: CheckDeps) {
    this.#deps = deps;
    this.#commonSinceMs = deps.clock.monotonicMs();
  }

  /** The common Secret of passwords has changed. */
  onPasswords(): void {
    this.#commonSinceMs = this.#deps.clock.monotonicMs();
    this.#deps.secrets.forget();
  }

  of({ metadata }: BackupRepository): CheckView | undefined {
    return this.#known.get(metadata.uid);
  }

  forget(uid: string): void {
    this.#known.delete(uid);
  }

  /** Never rejects but with an abort. */
  async run(
    repository: BackupRepository,
    location: BackupStorageLocation,
    view: LocationView,
    mayCreate: boolean,
    signal: AbortSignal,
  ): Promise<CheckResult> {
    const { name } = location.metadata;
    const running = this.#running.get(name) ?? 0;
    if (running >= MAX_OF_LOCATION) return { is: 'later' };
    this.#running.set(name, running + 1);
    const { clock, onChecked } = this.#deps;
    const startedMs = clock.monotonicMs();
    const seconds = (): number => (clock.monotonicMs() - startedMs) / 1000;
    try {
      const prepared = await this.#prepare(repository, location, mayCreate, signal);
      this.#remember(repository, view, prepared);
      onChecked?.('ready', seconds());
      return { is: 'ready', prepared };
    } catch (error) {
      if (signal.aborted) throw error;
      this.#remember(repository, view, undefined);
      onChecked?.('failed', seconds());
      return { is: 'failed', error: serializeError(isAbortError(error) || isTimeout(error) ? timeout() : error) };
    } finally {
      this.#running.set(name, (this.#running.get(name) ?? 1) - 1);
    }
  }

  async #prepare(
    { metadata, spec }: BackupRepository,
    object: BackupStorageLocation,
    mayCreate: boolean,
    outer: AbortSignal,
  ): Promise<PreparedRepository> {
    const { secrets, environment, clock, random, logger, perNamespacePasswords: perNamespace } = this.#deps;
    const { volumeNamespace } = spec;
    const signal = AbortSignal.any([outer, AbortSignal.timeout(TIMEOUT_MS)]);
    const location = readLocation(object as unknown as Readonly<Record<string, unknown>>);
    const access = await readLocationSecrets(location, secrets, environment, signal);
    const passwords = await readRepositoryPasswords(secrets, { volumeNamespace, perNamespace }, signal);
    if (perNamespace) this.#noteOwn(volumeNamespace, passwords);
    const located = locationStore(location, { volumeNamespace, ...access });
    const options = {
      ...passwords,
      mayCreate,
      mayRekey: this.#rekeyInMs(volumeNamespace) <= 0,
      fullIntervalNs: fullIntervalNs(spec.repositoryConfig),
      seen: this.#known.get(metadata.uid)?.seen,
    };
    const storageStats = newStorageStats();
    const deps = { clock, random, logger, environment, storageStats };
    return await prepareVeleroRepository(located, options, deps, signal);
  }

  #rekeyInMs(volumeNamespace: string): number {
    const ownSinceMs = this.#ownSince.get(volumeNamespace)?.sinceMs ?? 0;
    const sinceMs = Math.max(this.#commonSinceMs, ownSinceMs);
    return sinceMs + this.#deps.rekeyAfterMs - this.#deps.clock.monotonicMs();
  }

  #noteOwn(volumeNamespace: string, { password, previousPassword = '' }: RepositoryPasswords): void {
    const fingerprint = hash('sha256', JSON.stringify([password, previousPassword]));
    if (this.#ownSince.get(volumeNamespace)?.fingerprint === fingerprint) return;
    this.#ownSince.set(volumeNamespace, { fingerprint, sinceMs: this.#deps.clock.monotonicMs() });
  }

  #remember(
    { metadata: { uid }, spec: { volumeNamespace } }: BackupRepository,
    { place, access, isReadOnly }: LocationView,
    prepared: PreparedRepository | undefined,
  ): void {
    const nowMs = this.#deps.clock.nowMs();
    const before = this.#known.get(uid);
    const isOk = prepared !== undefined;
    const failures = isOk || before?.access !== access ? 0 : before.failures;
    // It may have become late enough while the check went on.
    const isEarly = prepared?.lacks === 'present-password' && !isReadOnly;
    const okMs = isEarly ? Math.min(CHECK_MS, Math.max(0, this.#rekeyInMs(volumeNamespace))) : CHECK_MS;
    const againMs = nowMs + (isOk ? okMs : Math.min(CHECK_MS, FIRST_RETRY_MS * 2 ** Math.min(failures, 10)));
    const seen = isOk ? prepared.seen : before?.seen;
    this.#known.set(uid, { place, access, isOk, againMs, failures: isOk ? 0 : failures + 1, seen });
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError';
}

function timeout(): WindlassError {
  return new WindlassError(`the store does not answer within ${TIMEOUT_MS / 1000} s`, {
    code: 'REPOSITORY_CHECK_TIMEOUT',
    retry: 'transient',
  });
}
