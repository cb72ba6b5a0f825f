// What is next for one object (node-agent §1.8): a pure decision from the object, its pod and its data mover. Whatever was missed,
// the same state leads to the same step.
import type { SerializedError } from '../../base/errors.ts';
import { FINALIZER } from '../../kube/index.ts';
import type { MoverResult } from '../datapath/mover-process.ts';
import type { RunView, StopReason } from './run-view.ts';
import { isDeleting, type Movement, phaseOf, timeMs } from './subject.ts';

export type Label = 'PVB' | 'PVR';

export interface MovementView {
  readonly label: Label;
  readonly movement: Movement;
  /** Ours to move: the node of the spec, or that of the status. */
  readonly isOurs: boolean;
  /** New and could be accepted here: a restore waits for its pod's init container. */
  readonly isReady: boolean;
  /** As many objects are on their way in the cluster as the configuration allows. */
  readonly isQueueFull: boolean;
  readonly pod: PodState;
  readonly run: RunView | undefined;
  /** The pod's own containers may run: what is not restored by now must not be. */
  readonly isTooLate?: boolean;
  /** It ended well, and its pod waits for it once more, as after a reboot of the node. */
  readonly isAwaitedAgain?: boolean;
  /** Another object that moves the same volume just now, by its name: of two restores into one volume nothing whole would be left. */
  readonly busyWith?: string | undefined;
  /** Since when this process has known of `spec.cancel`. */
  readonly cancelKnownForMs: number | undefined;
  /** Since when this process has known it as Accepted: the clock that wrote the object may have been wrong. */
  readonly acceptedKnownForMs: number | undefined;
  readonly nowMs: number;
  readonly prepareTimeoutMs: number;
}

/** `leaving`: since so many milliseconds. */
export type PodState =
  { readonly is: 'here' } | { readonly is: 'leaving'; readonly forMs: number } | { readonly is: 'gone' };

export type Decision =
  | { readonly do: 'nothing'; readonly lookAgainMs?: number }
  /** Nothing of ours holds the object any more. */
  | { readonly do: 'let-go' }
  /** Its pod is told once more that it is done, and it is held until the pod has seen it. */
  | { readonly do: 'tell-again' }
  | { readonly do: 'request-cancel'; readonly message: string }
  | { readonly do: 'accept' }
  | { readonly do: 'prepare' }
  /** From Prepared, once there is a slot. */
  | { readonly do: 'begin' }
  /** InProgress without a data mover, or with one that failed and may be tried again: once there is a slot. */
  | { readonly do: 'run' }
  | { readonly do: 'report' }
  /** Not yet, for a reason that passes. */
  | { readonly do: 'hold'; readonly message: string }
  | { readonly do: 'wait'; readonly error: SerializedError; readonly attempts: number; readonly forMs: number }
  | { readonly do: 'mark-canceling' }
  | { readonly do: 'stop'; readonly reason: StopReason; readonly lookAgainMs: number }
  | { readonly do: 'complete'; readonly result: MoverResult }
  | { readonly do: 'fail'; readonly message: string; readonly code: string }
  | { readonly do: 'cancel'; readonly message?: string };

export const LIMITER_MS = 5_000;
const FORCED_IN_PROGRESS_MS = 3_600_000;
const FORCED_MS = 300_000;
/** The kubelet cannot unmount what a data mover holds open: a volume is let go well within a minute. */
const LEAVING_MS = 40_000;
const STOP_CHECK_MS = 2_000;
const SELDOM_MS = 60_000;
/** The node of the pod goes first: it can tell the pod. */
const PODS_NODE_FIRST_MS = 10_000;

export function decide(view: MovementView): Decision {
  const { movement, isOurs, label } = view;
  const phase = phaseOf(movement);
  const isCanceled = movement.spec.cancel === true;
  switch (phase) {
    case 'Completed':
    case 'Failed':
    case 'Canceled':
      return decideFinal(view);
    default:
  }
  if (isCanceled && isForced(view)) return { do: 'cancel' };
  if (!isOurs) return decideForeign(view, isCanceled);
  if (isDeleting(movement) && !isCanceled)
    return { do: 'request-cancel', message: `Cancel ${label} because it is being deleted` };
  switch (phase) {
    case 'New':
      return decideNew(view, isCanceled);
    case 'Accepted':
      return decideAccepted(view, isCanceled);
    case 'Prepared':
      if (isCanceled) return { do: 'cancel' };
      if (view.pod.is !== 'here') return podGone(view);
      if (view.isTooLate === true) return podStarted(view);
      if (view.busyWith !== undefined)
        return { do: 'hold', message: `waiting for ${view.busyWith}, which is being restored into the same volume` };
      return { do: 'begin' };
    case 'InProgress':
      return decideInProgress(view, isCanceled);
    case 'Canceling':
      return decideCanceling(view);
    default:
      return { do: 'nothing' }; // a phase of a later version
  }
}

function decideFinal({ movement, isOurs, run, isAwaitedAgain = false }: MovementView): Decision {
  if (run?.state === 'running') return { do: 'stop', reason: 'over', lookAgainMs: STOP_CHECK_MS };
  const isHeld = movement.metadata.finalizers?.includes(FINALIZER.podVolume) === true;
  if (isAwaitedAgain && isOurs && !isHeld && !isDeleting(movement)) return { do: 'tell-again' };
  // Whoever deletes it does not wait for a node that may never come back, or for none at all.
  return isHeld && (isOurs || isDeleting(movement)) ? { do: 'let-go' } : { do: 'nothing' };
}

/** Nobody may act for the owner but when the owner has not acted for long. */
function isForced({ movement, cancelKnownForMs = 0, run }: MovementView): boolean {
  if (run?.state === 'running') return false;
  return cancelKnownForMs > (phaseOf(movement) === 'InProgress' ? FORCED_IN_PROGRESS_MS : FORCED_MS);
}

/** Of another node, or a restore that no node has accepted yet. An owner that does not act for long has its object ended for it. */
function decideForeign(view: MovementView, isCanceled: boolean): Decision {
  const { label, movement, cancelKnownForMs = 0, nowMs } = view;
  const isNobodys = label === 'PVR' && phaseOf(movement) === 'New';
  if (isCanceled) {
    if (!isNobodys) return { do: 'nothing', lookAgainMs: SELDOM_MS };
    const waitMs = PODS_NODE_FIRST_MS - cancelKnownForMs;
    return waitMs > 0 ? { do: 'nothing', lookAgainMs: waitMs } : { do: 'cancel' };
  }
  if (!isDeleting(movement)) return { do: 'nothing' };
  const deletingForMs = nowMs - (timeMs(movement.metadata.deletionTimestamp) ?? nowMs);
  if (!isNobodys && deletingForMs < FORCED_MS) return { do: 'nothing', lookAgainMs: SELDOM_MS };
  return { do: 'request-cancel', message: `Cancel ${label} because it is being deleted` };
}

function decideNew({ isReady, isQueueFull }: MovementView, isCanceled: boolean): Decision {
  if (isCanceled) return { do: 'cancel' };
  if (!isReady) return { do: 'nothing' };
  return isQueueFull ? { do: 'nothing', lookAgainMs: LIMITER_MS } : { do: 'accept' };
}

function decideAccepted(view: MovementView, isCanceled: boolean): Decision {
  const { movement, prepareTimeoutMs, label } = view;
  if (isCanceled) return { do: 'cancel' };
  if (view.pod.is !== 'here') return podGone(view);
  if (acceptedForMs(view) < prepareTimeoutMs) return { do: 'prepare' };
  const { message = '' } = movement.status ?? {};
  const why = message === '' ? '' : `: ${message}`;
  return { do: 'fail', code: 'PREPARE_TIMEOUT', message: `timeout on preparing ${label}${why}` };
}

export function acceptedForMs({
  movement,
  nowMs,
  acceptedKnownForMs = 0,
}: Pick<MovementView, 'movement' | 'nowMs' | 'acceptedKnownForMs'>): number {
  const acceptedMs = timeMs(movement.status?.acceptedTimestamp) ?? nowMs;
  return Math.max(nowMs - acceptedMs, acceptedKnownForMs);
}

function podGone({ movement }: MovementView): Decision {
  const { namespace = '', name = '' } = movement.spec.pod;
  return {
    do: 'fail',
    code: 'POD_GONE',
    message: `pod ${namespace}/${name} is gone, or going, and its volume with it [POD_GONE]`,
  };
}

/** Nothing of it can have been restored: that begins with the next phase. */
function podStarted({ movement }: MovementView): Decision {
  const { namespace = '', name = '' } = movement.spec.pod;
  return {
    do: 'fail',
    code: 'POD_STARTED',
    message: `pod ${namespace}/${name} has started without this volume: nothing was restored [POD_STARTED]`,
  };
}

function decideInProgress(view: MovementView, isCanceled: boolean): Decision {
  const { run, pod, nowMs } = view;
  if (run === undefined) {
    if (isCanceled) return { do: 'cancel' };
    return pod.is === 'here' ? { do: 'run' } : podGone(view);
  }
  switch (run.state) {
    case 'done':
      return { do: 'complete', result: run.result };
    case 'failed':
      return { do: 'fail', code: run.error.code, message: messageOf(run.error) };
    case 'stopped':
      return decideStopped(view, run.reason, isCanceled);
    case 'waiting':
      if (isCanceled) return { do: 'cancel' };
      if (pod.is !== 'here') return podGone(view);
      if (nowMs >= run.nextMs) return { do: 'run' };
      return { do: 'wait', error: run.error, attempts: run.attempts, forMs: run.nextMs - nowMs };
    case 'running':
      if (isCanceled) return { do: 'mark-canceling' };
      if (pod.is === 'gone' || (pod.is === 'leaving' && pod.forMs >= LEAVING_MS))
        return { do: 'stop', reason: 'pod-gone', lookAgainMs: STOP_CHECK_MS };
      if (pod.is === 'leaving') return { do: 'nothing', lookAgainMs: LEAVING_MS - pod.forMs };
      return { do: 'report' };
  }
}

function decideStopped(view: MovementView, reason: StopReason, isCanceled: boolean): Decision {
  if (isCanceled) return { do: 'cancel' };
  return reason === 'pod-gone' ? podGone(view) : { do: 'run' };
}

function decideCanceling({ run }: MovementView): Decision {
  if (run?.state === 'running') return { do: 'stop', reason: 'cancel', lookAgainMs: STOP_CHECK_MS };
  // It was faster than the cancel.
  if (run?.state === 'done') return { do: 'complete', result: run.result };
  return { do: 'cancel' };
}

/** One line with the code that docs/errors.md explains. */
export function messageOf({ message, code, cause }: SerializedError): string {
  const because = cause === undefined ? '' : `: ${cause.message}`;
  return `${message}${because} [${code}]`;
}
