// Takes the decisions of policy.ts and does what they say, one object at a time. What differs between a backup and a restore comes
// as a `MovementKind`.
import type { Clock } from '../../base/clock.ts';
import { errorCode, hasCode, serializeError, WindlassError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import {
  type EventRecorder,
  type Kind,
  type KubeClient,
  nameOfKey,
  objectKey,
  type Pod,
  type ReconcileResult,
  type Store,
  type WorkQueue,
} from '../../kube/index.ts';
import type { Answer, Job } from '../datapath/job.ts';
import type { MoverResult } from '../datapath/mover-process.ts';
import type { Slots } from '../datapath/slots.ts';
import type { ResolvedVolume, VolumeResolver } from '../host/volume-resolver.ts';
import type { Readiness, RepositoryDirectory, RepositoryName } from '../repository/repository-access.ts';
import { DataPathEvents } from './data-path-events.ts';
import { removeHostingPod } from './hosting-pod.ts';
import { ObjectWriter } from './object-writer.ts';
import { podProblem } from './pod-problem.ts';
import { acceptedForMs, decide, type Decision, type Label, messageOf, type PodState, PROGRESS_MS } from './policy.ts';
import type { Runs } from './runs.ts';
import { isFinal, type Movement, phaseOf, podName, podOf, timeMs } from './subject.ts';
import * as transitions from './transitions.ts';

export interface MovementKind<T extends Movement> {
  readonly label: Label;
  readonly kind: Kind<T>;
  isOurs(movement: T): boolean;
  /** New and could be accepted here. */
  isReady(movement: T): boolean;
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

type Annotations = Readonly<Record<string, string>>;

export interface Completion {
  readonly status: object;
  readonly message?: string | undefined;
  /** Also told as an event of type Warning. */
  readonly warning?: string | undefined;
  readonly annotations?: Annotations;
  readonly keepFinalizer?: boolean;
}

export interface MovementDeps {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly recorder: EventRecorder;
  readonly pods: Store<Pod>;
  readonly runs: Runs;
  readonly slots: Slots;
  readonly volumes: VolumeResolver;
  readonly repositories: RepositoryDirectory;
  readonly namespace: string;
  readonly isQueueFull: () => boolean;
  readonly prepareTimeoutMs: number;
  readonly resourceTimeoutMs: number;
  readonly operationTimeoutMs: number;
  readonly onBegun?: (movement: Movement) => void;
  readonly onEnded?: (movement: Movement, phase: 'Completed' | 'Failed' | 'Canceled') => void;
}

const WAIT_MS = 5_000;
/** Places in the queue move often; the API is told of it seldom. */
const MESSAGE_MS = 30_000;
const PREPARE_RETRY_MS = 5_000;
/** Steps of one look: a chain of phases goes through at once. */
const MAX_STEPS = 8;

interface Notes {
  cancelSeenMs?: number;
  leavingSeenMs?: number;
  progressMs?: number;
  progressText?: string;
  messageMs?: number;
  acceptedSeenMs?: number;
}

export class MovementReconciler<T extends Movement> {
  readonly #kind: MovementKind<T>;
  readonly #store: Store<T>;
  readonly #queue: WorkQueue;
  readonly #deps: MovementDeps;
  readonly #writer: ObjectWriter<T>;
  readonly #notes = new Map<string, Notes>();
  readonly #keys = new Map<string, string>();
  readonly #events: DataPathEvents;

  constructor(kind: MovementKind<T>, store: Store<T>, queue: WorkQueue, deps: MovementDeps) {
    this.#kind = kind;
    this.#store = store;
    this.#queue = queue;
    this.#deps = deps;
    this.#writer = new ObjectWriter(deps.client, kind.kind);
    this.#events = new DataPathEvents(deps.recorder, kind.label);
  }

  /** What `Runs` and `Slots` tell of: they know objects by their UID. */
  wake(uid: string): void {
    const key = this.#keys.get(uid);
    if (key !== undefined) this.#queue.add(key);
  }

  /** Emits what the mover of the object has begun. */
  onStarted(uid: string): void {
    const key = this.#keys.get(uid);
    const movement = key === undefined ? undefined : this.#current(key);
    if (movement !== undefined) this.#events.started(movement);
  }

  /** Why what was read of the object's pod cannot be trusted. */
  async podProblem(uid: string): Promise<Answer> {
    const key = this.#keys.get(uid);
    const movement = key === undefined ? undefined : this.#current(key);
    if (movement === undefined) return { problem: 'the object is gone', mayPass: false };
    return podProblem(movement.spec.pod, this.#deps);
  }

  async reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult> {
    for (let step = 0; step < MAX_STEPS; step++) {
      const movement = this.#current(key);
      if (movement === undefined) {
        this.#forget(key);
        return undefined;
      }
      const decision = this.#decide(movement);
      const next = await this.#act(movement, decision, signal);
      if (next !== 'again') return next;
    }
    return { requeueAfterMs: 0 };
  }

  /** The object as last written or last seen, whichever is newer: the cache runs behind our own writes. */
  #current(key: string): T | undefined {
    return this.#writer.newest(key, this.#store.get(key));
  }

  #decide(movement: T): Decision {
    const { clock, runs, prepareTimeoutMs } = this.#deps;
    const notes = this.#notesOf(movement);
    const nowMs = clock.monotonicMs();
    if (movement.spec.cancel === true) notes.cancelSeenMs ??= nowMs;
    if (phaseOf(movement) === 'Accepted') notes.acceptedSeenMs ??= nowMs;
    return decide({
      label: this.#kind.label,
      movement,
      isOurs: this.#kind.isOurs(movement),
      isReady: phaseOf(movement) === 'New' && this.#kind.isReady(movement),
      isQueueFull: this.#deps.isQueueFull(),
      pod: this.#podState(movement, notes),
      run: runs.view(movement.metadata.uid),
      isAwaitedAgain: phaseOf(movement) === 'Completed' && this.#kind.isAwaitedAgain?.(movement) === true,
      cancelKnownForMs: notes.cancelSeenMs === undefined ? undefined : nowMs - notes.cancelSeenMs,
      acceptedKnownForMs: notes.acceptedSeenMs === undefined ? undefined : nowMs - notes.acceptedSeenMs,
      nowMs: clock.nowMs(),
      prepareTimeoutMs,
    });
  }

  #podState({ spec }: T, notes: Notes): PodState {
    const pod = podOf(this.#deps.pods, spec.pod);
    if (pod === undefined) return { is: 'gone' };
    if (pod.metadata.deletionTimestamp === undefined) return { is: 'here' };
    notes.leavingSeenMs ??= this.#deps.clock.monotonicMs();
    return { is: 'leaving', forMs: this.#deps.clock.monotonicMs() - notes.leavingSeenMs };
  }

  async #act(movement: T, decision: Decision, signal: AbortSignal): Promise<ReconcileResult | 'again'> {
    const { runs } = this.#deps;
    const { uid } = movement.metadata;
    switch (decision.do) {
      case 'nothing':
        if (isFinal(movement)) this.#release(movement);
        return decision.lookAgainMs === undefined ? undefined : { requeueAfterMs: decision.lookAgainMs };
      case 'let-go':
        return this.#letGo(movement, signal);
      case 'tell-again':
        await this.#kind.tellAgain?.(movement);
        await this.#write(movement, transitions.held(movement), signal);
        return { requeueAfterMs: WAIT_MS };
      case 'request-cancel':
        await this.#write(movement, transitions.cancelRequested(decision.message), signal);
        return 'again';
      case 'accept': {
        const extra = this.#kind.acceptedStatus();
        await this.#write(movement, transitions.accepted(movement, this.#deps.clock.nowMs(), extra), signal);
        this.#log('accepted', movement);
        return 'again';
      }
      case 'prepare':
        return this.#prepare(movement, signal);
      case 'begin':
        return this.#begin(movement, signal);
      case 'run':
        return this.#run(movement, signal);
      case 'report':
        return this.#report(movement, signal);
      case 'wait':
        this.#deps.slots.release(uid);
        await this.#say(movement, waitingMessage(decision), signal);
        return { requeueAfterMs: decision.forMs };
      case 'mark-canceling':
        await this.#write(movement, transitions.canceling(), signal);
        this.#events.canceling(movement);
        return 'again';
      case 'stop':
        runs.stop(uid, decision.reason);
        return { requeueAfterMs: decision.lookAgainMs };
      case 'complete':
        await this.#complete(movement, decision.result, signal);
        return 'again';
      case 'fail':
        await this.#fail(movement, decision, signal);
        return 'again';
      case 'cancel':
        await this.#cancel(movement, decision.message, signal);
        return 'again';
    }
  }

  /** Accepted: is everything there that the transfer needs? What is missing now may come. */
  async #prepare(movement: T, signal: AbortSignal): Promise<ReconcileResult | 'again'> {
    try {
      await this.#removeHostingPod(movement, signal);
      await this.#resolve(movement, signal);
      const readiness = await this.#deps.repositories.readiness(this.#kind.repositoryOf(movement), signal);
      if (readiness.is === 'pending') return await this.#waitForRepository(movement, readiness, signal);
    } catch (error) {
      return this.#prepareFailed(movement, error, signal);
    }
    await this.#write(movement, transitions.prepared(), signal);
    return 'again';
  }

  async #waitForRepository(
    movement: T,
    { reason }: Extract<Readiness, { readonly is: 'pending' }>,
    signal: AbortSignal,
  ): Promise<ReconcileResult | 'again'> {
    const { clock, resourceTimeoutMs } = this.#deps;
    const { acceptedSeenMs = clock.monotonicMs() } = this.#notesOf(movement);
    const acceptedKnownForMs = clock.monotonicMs() - acceptedSeenMs;
    if (acceptedForMs({ movement, nowMs: clock.nowMs(), acceptedKnownForMs }) > resourceTimeoutMs) {
      const error = new WindlassError(`the repository was not ready in time: ${reason}`, {
        code: 'REPOSITORY_NOT_READY',
      });
      return this.#prepareFailed(movement, error, signal);
    }
    await this.#say(movement, `waiting for the repository: ${reason}`, signal);
    return { requeueAfterMs: 1_000 };
  }

  async #prepareFailed(movement: T, error: unknown, signal: AbortSignal): Promise<ReconcileResult | 'again'> {
    if (signal.aborted || hasCode(error, 'KUBE_CONFLICT')) throw error;
    const serialized = serializeError(error);
    if (serialized.retry !== 'never') {
      await this.#say(movement, `not ready yet: ${messageOf(serialized)}`, signal);
      return { requeueAfterMs: PREPARE_RETRY_MS };
    }
    const message = `error to expose ${this.#kind.label}: ${messageOf(serialized)}`;
    await this.#fail(movement, { code: serialized.code, message }, signal);
    return 'again';
  }

  async #begin(movement: T, signal: AbortSignal): Promise<ReconcileResult | 'again'> {
    const answer = this.#takeSlot(movement);
    if (answer !== undefined) return this.#wait(movement, answer, signal);
    await this.#removeHostingPod(movement, signal);
    await this.#write(movement, transitions.begun(this.#deps.clock.nowMs()), signal);
    this.#deps.onBegun?.(movement);
    this.#log('begun', movement);
    return 'again';
  }

  /** InProgress without a mover: the first time, after a failure that may pass, or because this agent is a new one. */
  async #run(movement: T, signal: AbortSignal): Promise<ReconcileResult | 'again'> {
    const { runs, operationTimeoutMs } = this.#deps;
    const answer = this.#takeSlot(movement);
    if (answer !== undefined) return this.#wait(movement, answer, signal);
    try {
      await this.#removeHostingPod(movement, signal);
      const volume = await this.#resolve(movement, signal);
      const job = await this.#kind.job(movement, volume, signal);
      runs.start(movement.metadata.uid, job, operationTimeoutMs);
      // Small volumes are over before there is anything to report.
      this.#notesOf(movement).progressMs = this.#deps.clock.monotonicMs();
      if (this.#deps.slots.waiting > 0) runs.expectMore();
      return undefined;
    } catch (error) {
      if (signal.aborted) throw error;
      const serialized = serializeError(error);
      const startedMs = timeMs(movement.status?.startTimestamp) ?? this.#deps.clock.nowMs();
      const isOver = this.#deps.clock.nowMs() - startedMs > operationTimeoutMs;
      if (serialized.retry !== 'never' && !isOver) {
        this.#deps.slots.release(movement.metadata.uid);
        await this.#say(movement, `trying again: ${messageOf(serialized)}`, signal);
        return { requeueAfterMs: PREPARE_RETRY_MS };
      }
      const message = `error starting data path: ${messageOf(serialized)}`;
      await this.#fail(movement, { code: serialized.code, message }, signal);
      return 'again';
    }
  }

  #takeSlot({ metadata }: T): { readonly position: number; readonly waiting: number } | undefined {
    const answer = this.#deps.slots.take(metadata.uid);
    return answer.isGranted ? undefined : answer;
  }

  async #wait(
    movement: T,
    { position, waiting }: { readonly position: number; readonly waiting: number },
    signal: AbortSignal,
  ): Promise<ReconcileResult> {
    const { inUse, limit } = this.#deps.slots;
    const text = `waiting for a slot on this node: place ${position} of ${waiting}, ${inUse} of ${limit} in use`;
    await this.#say(movement, text, signal);
    return { requeueAfterMs: WAIT_MS };
  }

  async #resolve(movement: T, signal: AbortSignal): Promise<ResolvedVolume> {
    const pod = podOf(this.#deps.pods, movement.spec.pod);
    if (pod === undefined) {
      const name = podName(movement.spec.pod);
      throw new WindlassError(`pod ${name} is gone, or not on this node`, { code: 'POD_GONE' });
    }
    return this.#deps.volumes.resolve(pod, movement.spec.volume, signal);
  }

  async #report(movement: T, signal: AbortSignal): Promise<ReconcileResult> {
    const { clock, runs } = this.#deps;
    const run = runs.view(movement.metadata.uid);
    const notes = this.#notesOf(movement);
    const nowMs = clock.monotonicMs();
    const dueMs = (notes.progressMs ?? -Infinity) + PROGRESS_MS;
    if (run?.state !== 'running' || run.progress === undefined) return { requeueAfterMs: PROGRESS_MS };
    const { bytesDone, totalBytes } = run.progress;
    const text = `${bytesDone}/${totalBytes}`;
    if (nowMs < dueMs) return { requeueAfterMs: dueMs - nowMs };
    if (text === notes.progressText) return { requeueAfterMs: PROGRESS_MS };
    const hadMessage = (movement.status?.message ?? '') !== '';
    const status = { progress: { bytesDone, totalBytes }, ...(hadMessage ? { message: '' } : {}) };
    await this.#writer.merge(movement, { status }, signal);
    notes.progressMs = nowMs;
    notes.progressText = text;
    this.#events.progress(movement, run.progress);
    return { requeueAfterMs: PROGRESS_MS };
  }

  async #complete(movement: T, result: MoverResult, signal: AbortSignal): Promise<void> {
    const { status, message, warning, annotations, keepFinalizer } = this.#kind.completed(movement, result);
    const nowMs = this.#deps.clock.nowMs();
    const ending = {
      phase: 'Completed',
      nowMs,
      message,
      status,
      ...(keepFinalizer === true ? { keepFinalizer } : {}),
    } as const;
    await this.#write(
      movement,
      transitions.ended(movement, { ...ending, ...(annotations === undefined ? {} : { annotations }) }),
      signal,
    );
    if (warning !== undefined) this.#events.warning(movement, warning);
    this.#events.completed(movement, result);
    this.#over(movement, 'Completed', { result: JSON.stringify(status), message });
  }

  async #fail(movement: T, failure: Failure, signal: AbortSignal): Promise<void> {
    const wasInProgress = phaseOf(movement) === 'InProgress';
    const held = await this.#tellWaiting(movement, failure);
    const text = wasInProgress ? `${pathName(this.#kind.label)} failed: ${failure.message}` : failure.message;
    const message = transitions.statusMessage(text);
    const nowMs = this.#deps.clock.nowMs();
    await this.#write(movement, transitions.ended(movement, { phase: 'Failed', nowMs, message, ...held }), signal);
    this.#events.failed(movement, message);
    this.#over(movement, 'Failed', { message });
  }

  async #cancel(movement: T, message: string | undefined, signal: AbortSignal): Promise<void> {
    const text = message ?? transitions.cancelNote(movement);
    const isForeign = !this.#kind.isOurs(movement);
    const failure = { code: 'CANCELED', message: text === '' ? 'the restore was cancelled' : text };
    const held = isForeign ? {} : await this.#tellWaiting(movement, failure);
    const nowMs = this.#deps.clock.nowMs();
    await this.#write(
      movement,
      transitions.ended(movement, { phase: 'Canceled', nowMs, message: text, ...held }),
      signal,
    );
    this.#events.canceled(movement);
    this.#over(movement, 'Canceled', {});
  }

  async #tellWaiting(
    movement: T,
    failure: Failure,
  ): Promise<Pick<transitions.Ending, 'annotations' | 'keepFinalizer'>> {
    try {
      const annotations = await this.#kind.beforeFailure?.(movement, failure);
      return annotations === undefined ? {} : { annotations, keepFinalizer: true };
    } catch (error) {
      // Its volume may be gone with its pod: then nobody waits any more.
      const fields = { code: errorCode(error), error: error instanceof Error ? error.message : String(error) };
      this.#log('the waiting pod could not be told', movement, fields, 'warn');
      return {};
    }
  }

  async #letGo(movement: T, signal: AbortSignal): Promise<ReconcileResult> {
    if ((await this.#kind.afterwards?.(movement)) === true) return { requeueAfterMs: WAIT_MS };
    await this.#write(movement, transitions.letGo(movement), signal);
    this.#release(movement);
    return undefined;
  }

  async #removeHostingPod(movement: T, signal: AbortSignal): Promise<void> {
    if (await removeHostingPod(movement, this.#deps, signal)) this.#log('removed the pod of another agent', movement);
  }

  /** Why it does not go on, for whoever looks at it; seldom enough not to weigh on the API. */
  async #say(movement: T, text: string, signal: AbortSignal): Promise<void> {
    const notes = this.#notesOf(movement);
    const nowMs = this.#deps.clock.monotonicMs();
    const message = transitions.statusMessage(text);
    if (movement.status?.message === message || nowMs - (notes.messageMs ?? -Infinity) < MESSAGE_MS) return;
    notes.messageMs = nowMs;
    await this.#write(movement, { status: { message } }, signal);
  }

  #write(movement: T, merge: object, signal: AbortSignal): Promise<void> {
    return this.#writer.write(movement, merge, signal);
  }

  #notesOf({ metadata }: T): Notes {
    this.#keys.set(metadata.uid, objectKey(metadata));
    let notes = this.#notes.get(metadata.uid);
    if (notes === undefined) this.#notes.set(metadata.uid, (notes = {}));
    return notes;
  }

  #over(movement: T, phase: 'Completed' | 'Failed' | 'Canceled', fields: object): void {
    this.#deps.onEnded?.(movement, phase);
    this.#deps.slots.release(movement.metadata.uid);
    this.#log(`ended ${phase}`, movement, fields, phase === 'Failed' ? 'warn' : 'info');
  }

  #release({ metadata }: T): void {
    const { runs, slots } = this.#deps;
    slots.release(metadata.uid);
    runs.forget(metadata.uid);
    this.#notes.delete(metadata.uid);
    this.#keys.delete(metadata.uid);
  }

  /** The object is gone. A mover that still works for it ends. */
  #forget(key: string): void {
    const { namespace, name } = nameOfKey(key);
    for (const [uid, known] of this.#keys) {
      if (known !== key) continue;
      this.#deps.logger.debug('the object is gone', { namespace, name });
      this.#deps.slots.release(uid);
      this.#deps.runs.forget(uid);
      this.#notes.delete(uid);
      this.#keys.delete(uid);
    }
    this.#writer.forget(key);
  }

  /** Under the names that data movers use: one search finds all of a volume. */
  #log(message: string, { metadata, spec }: T, fields: object = {}, level: 'info' | 'warn' = 'info'): void {
    const { name, namespace } = metadata;
    this.#deps.logger[level](message, {
      [this.#kind.label === 'PVB' ? 'podVolumeBackup' : 'podVolumeRestore']: `${namespace}/${name}`,
      pod: podName(spec.pod),
      volume: spec.volume,
      ...fields,
    });
  }
}

function pathName(label: Label): string {
  return label === 'PVB' ? 'data path backup' : 'data path restore';
}

function waitingMessage({ error, attempts, forMs }: Extract<Decision, { readonly do: 'wait' }>): string {
  return `attempt ${attempts} failed, trying again in ${Math.ceil(forMs / 1000)} s: ${messageOf(error)}`;
}
