// Brings the objects of one kind to their reconciler: when they change, when their pod does, when their data mover or their turn has
// something to say, and once a minute whatever happens.
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import type { RandomSource } from '../../base/random.ts';
import type { Answer } from '../datapath/job.ts';
import { objectKey, type Pod, type Reflector, runController, WorkQueue } from '../../kube/index.ts';
import type { MovementKind } from './movement-kind.ts';
import { type MovementDeps, MovementReconciler } from './reconciler.ts';
import type { Movement } from './subject.ts';

export interface MovementLoopOptions<T extends Movement> {
  readonly name: string;
  readonly kind: MovementKind<T>;
  readonly objects: Reflector<T>;
  readonly pods: Reflector<Pod>;
  /** Objects that are never looked at here. */
  readonly concerns: (movement: T) => boolean;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  readonly onReconciled: (name: string, seconds: number, failed: boolean) => void;
}

/** Looks at objects: each is short, and one that waits for the API keeps no other from its step. */
const WORKERS = 4;
const RESYNC_MS = 60_000;

export class MovementLoop<T extends Movement> {
  readonly #options: MovementLoopOptions<T>;
  readonly #queue: WorkQueue;
  readonly #reconciler: MovementReconciler<T>;

  constructor(options: MovementLoopOptions<T>, deps: MovementDeps) {
    const { clock, random, kind, objects, pods, concerns } = options;
    this.#options = options;
    this.#queue = new WorkQueue({ clock, random });
    this.#reconciler = new MovementReconciler(kind, objects.store, this.#queue, deps);
    objects.onChange((key, now, before) => {
      const movement = now ?? before;
      if (movement !== undefined && concerns(movement)) this.#queue.add(key);
    });
    // What a pod's volumes wait for shows in the pod.
    pods.onChange((_key, now, before) => {
      const uid = (now ?? before)?.metadata.uid;
      this.#enqueue(({ spec }) => spec.pod.uid === uid);
    });
  }

  /** The data mover or the turn of the object with this UID has changed. */
  wake(uid: string): void {
    this.#reconciler.wake(uid);
  }

  onStarted(uid: string): void {
    this.#reconciler.onStarted(uid);
  }

  podProblem(uid: string): Promise<Answer> {
    return this.#reconciler.podProblem(uid);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { name, clock, logger, onReconciled } = this.#options;
    const resync = setInterval(() => this.#enqueue(this.#options.concerns), RESYNC_MS);
    try {
      await runController(
        {
          name,
          queue: this.#queue,
          workers: WORKERS,
          reconcile: (key, end) => this.#reconciler.reconcile(key, end),
          clock,
          logger,
          onReconciled: (durationMs, error) => onReconciled(name, durationMs / 1000, error !== undefined),
        },
        signal,
      );
    } finally {
      clearInterval(resync);
    }
  }

  #enqueue(isWanted: (movement: T) => boolean): void {
    for (const movement of this.#options.objects.store.list()) {
      if (isWanted(movement)) this.#queue.add(objectKey(movement.metadata));
    }
  }
}
