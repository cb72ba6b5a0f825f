// Takes the decisions of policy.ts and does what they say, one object at a time. What differs between a backup and a restore comes
// as a `MovementKind`; what an object says on its way is in reports.ts, how it ends in endings.ts.
import type { Clock } from '../../base/clock.ts';
import { hasCode, serializeError, WindlassError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import {
  type EventRecorder,
  type KubeClient,
  nameOfKey,
  objectKey,
  type Pod,
  type ReconcileResult,
  type Store,
  type WorkQueue,
} from '../../kube/index.ts';
import type { Answer } from '../datapath/job.ts';
import type { Slots } from '../datapath/slots.ts';
import type { ResolvedVolume, VolumeResolver } from '../host/volume-resolver.ts';
import type { Readiness, RepositoryDirectory } from '../repository/repository-access.ts';
import { DataPathEvents } from './data-path-events.ts';
import { type EndPhase, Endings } from './endings.ts';
import { removeHostingPod } from './hosting-pod.ts';
import type { MovementKind } from './movement-kind.ts';
import { type MovementLog, movementLog } from './movement-log.ts';
import { type Notes, NoteBook } from './notes.ts';
import { ObjectWriter } from './object-writer.ts';
import { podProblem } from './pod-problem.ts';
import { acceptedForMs, decide, type Decision, messageOf, type PodState } from './policy.ts';
import { Reports } from './reports.ts';
import type { Runs } from './runs.ts';
import { isFinal, type Movement, phaseOf, podName, podOf, timeMs } from './subject.ts';
import * as transitions from './transitions.ts';

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
  readonly onEnded?: (movement: Movement, phase: EndPhase) => void;
}

const WAIT_MS = 5_000;
const PREPARE_RETRY_MS = 5_000;
/** Steps of one look: a chain of phases goes through at once. */
const MAX_STEPS = 8;

export class MovementReconciler<T extends Movement> {
  readonly #kind: MovementKind<T>;
  readonly #store: Store<T>;
  readonly #queue: WorkQueue;
  readonly #deps: MovementDeps;
  readonly #writer: ObjectWriter<T>;
  readonly #notes = new NoteBook();
  readonly #events: DataPathEvents;
  readonly #reports: Reports<T>;
  readonly #endings: Endings<T>;
  readonly #log: MovementLog;

  constructor(kind: MovementKind<T>, store: Store<T>, queue: WorkQueue, deps: MovementDeps) {
    this.#kind = kind;
    this.#store = store;
    this.#queue = queue;
    this.#deps = deps;
    this.#writer = new ObjectWriter(deps.client, kind.kind);
    this.#events = new DataPathEvents(deps.recorder, kind.label);
    this.#log = movementLog(deps.logger, kind.label);
    const { clock, slots, onEnded } = deps;
    const [writer, events, log, notes] = [this.#writer, this.#events, this.#log, this.#notes];
    this.#reports = new Reports({ clock, notes, writer, events });
    this.#endings = new Endings({ kind, clock, writer, events, slots, log, onEnded });
  }

  /** What `Runs` and `Slots` tell of: they know objects by their UID. */
  wake(uid: string): void {
    const key = this.#notes.keyOf(uid);
    if (key !== undefined) this.#queue.add(key);
  }

  /** Emits what the mover of the object has begun. */
  onStarted(uid: string): void {
    const key = this.#notes.keyOf(uid);
    const movement = key === undefined ? undefined : this.#current(key);
    if (movement !== undefined) this.#events.started(movement);
  }

  /** Why what was read of the object's pod cannot be trusted. */
  async podProblem(uid: string): Promise<Answer> {
    const key = this.#notes.keyOf(uid);
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
    const notes = this.#notes.of(movement);
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
      isTooLate: phaseOf(movement) === 'Prepared' && this.#kind.isTooLate?.(movement) === true,
      isAwaitedAgain: phaseOf(movement) === 'Completed' && this.#kind.isAwaitedAgain?.(movement) === true,
      busyWith: phaseOf(movement) === 'Prepared' ? this.#busyWith(movement) : undefined,
      cancelKnownForMs: notes.cancelSeenMs === undefined ? undefined : nowMs - notes.cancelSeenMs,
      acceptedKnownForMs: notes.acceptedSeenMs === undefined ? undefined : nowMs - notes.acceptedSeenMs,
      nowMs: clock.nowMs(),
      prepareTimeoutMs,
    });
  }

  /** Backups only read. Our own writes count before the cache has them. */
  #busyWith({ metadata, spec }: T): string | undefined {
    if (this.#kind.label !== 'PVR') return undefined;
    const other = this.#store.list().find((seen) => {
      if (seen.metadata.uid === metadata.uid || seen.spec.volume !== spec.volume) return false;
      if (seen.spec.pod.uid !== spec.pod.uid) return false;
      const phase = phaseOf(this.#current(objectKey(seen.metadata)) ?? seen);
      return phase === 'InProgress' || phase === 'Canceling';
    });
    return other?.metadata.name;
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
      case 'hold':
        // A place in the queue that it does not take would keep the one it waits for from its next attempt.
        this.#deps.slots.release(uid);
        await this.#reports.say(movement, decision.message, signal);
        return { requeueAfterMs: WAIT_MS };
      case 'report':
        return { requeueAfterMs: await this.#reports.progress(movement, runs.view(uid), signal) };
      case 'wait':
        this.#deps.slots.release(uid);
        await this.#reports.say(movement, waitingMessage(decision), signal);
        return { requeueAfterMs: decision.forMs };
      case 'mark-canceling':
        await this.#write(movement, transitions.canceling(), signal);
        this.#events.canceling(movement);
        return 'again';
      case 'stop':
        runs.stop(uid, decision.reason);
        return { requeueAfterMs: decision.lookAgainMs };
      case 'complete':
        await this.#endings.complete(movement, decision.result, signal);
        return 'again';
      case 'fail':
        await this.#endings.fail(movement, decision, signal);
        return 'again';
      case 'cancel':
        await this.#endings.cancel(movement, decision.message, signal);
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
    const { acceptedSeenMs = clock.monotonicMs() } = this.#notes.of(movement);
    const acceptedKnownForMs = clock.monotonicMs() - acceptedSeenMs;
    if (acceptedForMs({ movement, nowMs: clock.nowMs(), acceptedKnownForMs }) > resourceTimeoutMs) {
      const error = new WindlassError(`the repository was not ready in time: ${reason}`, {
        code: 'REPOSITORY_NOT_READY',
      });
      return this.#prepareFailed(movement, error, signal);
    }
    await this.#reports.say(movement, `waiting for the repository: ${reason}`, signal);
    return { requeueAfterMs: 1_000 };
  }

  async #prepareFailed(movement: T, error: unknown, signal: AbortSignal): Promise<ReconcileResult | 'again'> {
    if (signal.aborted || hasCode(error, 'KUBE_CONFLICT')) throw error;
    const serialized = serializeError(error);
    if (serialized.retry !== 'never') {
      await this.#reports.say(movement, `not ready yet: ${messageOf(serialized)}`, signal);
      return { requeueAfterMs: PREPARE_RETRY_MS };
    }
    const message = `error to expose ${this.#kind.label}: ${messageOf(serialized)}`;
    await this.#endings.fail(movement, { code: serialized.code, message }, signal);
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
      this.#reports.begin(movement);
      if (this.#deps.slots.waiting > 0) runs.expectMore();
      return undefined;
    } catch (error) {
      if (signal.aborted) throw error;
      const serialized = serializeError(error);
      const startedMs = timeMs(movement.status?.startTimestamp) ?? this.#deps.clock.nowMs();
      const isOver = this.#deps.clock.nowMs() - startedMs > operationTimeoutMs;
      if (serialized.retry !== 'never' && !isOver) {
        this.#deps.slots.release(movement.metadata.uid);
        await this.#reports.say(movement, `trying again: ${messageOf(serialized)}`, signal);
        return { requeueAfterMs: PREPARE_RETRY_MS };
      }
      const message = `error starting data path: ${messageOf(serialized)}`;
      await this.#endings.fail(movement, { code: serialized.code, message }, signal);
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
    await this.#reports.say(movement, text, signal);
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

  async #letGo(movement: T, signal: AbortSignal): Promise<ReconcileResult> {
    // It has ended: nobody waits for another attempt of it.
    this.#deps.runs.forget(movement.metadata.uid);
    if ((await this.#kind.afterwards?.(movement)) === true) return { requeueAfterMs: WAIT_MS };
    await this.#write(movement, transitions.letGo(movement), signal);
    this.#release(movement);
    return undefined;
  }

  async #removeHostingPod(movement: T, signal: AbortSignal): Promise<void> {
    if (await removeHostingPod(movement, this.#deps, signal)) this.#log('removed the pod of another agent', movement);
  }

  #write(movement: T, merge: object, signal: AbortSignal): Promise<void> {
    return this.#writer.write(movement, merge, signal);
  }

  #release({ metadata }: T): void {
    const { runs, slots } = this.#deps;
    slots.release(metadata.uid);
    runs.forget(metadata.uid);
    this.#notes.forget(metadata.uid);
  }

  /** The object is gone. A mover that still works for it ends. */
  #forget(key: string): void {
    const { namespace, name } = nameOfKey(key);
    for (const uid of this.#notes.uidsOf(key)) {
      this.#deps.logger.debug('the object is gone', { namespace, name });
      this.#deps.slots.release(uid);
      this.#deps.runs.forget(uid);
      this.#notes.forget(uid);
    }
    this.#writer.forget(key);
  }
}

function waitingMessage({ error, attempts, forMs }: Extract<Decision, { readonly do: 'wait' }>): string {
  return `attempt ${attempts} failed, trying again in ${Math.ceil(forMs / 1000)} s: ${messageOf(error)}`;
}
