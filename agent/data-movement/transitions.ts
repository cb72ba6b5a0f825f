// What each step writes (node-agent §1.8): merge patches, to be applied to the object as it was read.
import { FINALIZER, LABEL, type DataPhase } from '../../kube/index.ts';
import { isDeleting, type Movement } from './subject.ts';

/** Of the API: whole seconds. */
export function timestamp(nowMs: number): string {
  return new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z');
}

const MAX_MESSAGE_LENGTH = 4096;

/**
 * One line. What an object says of itself may be long, and would not fit into it a second time: no write would ever end it; and its
 * names may hold anything.
 */
export function statusMessage(said: string): string {
  const text = said.replaceAll(/\p{Cc}+/gu, ' ');
  return text.length <= MAX_MESSAGE_LENGTH ? text : `${text.slice(0, MAX_MESSAGE_LENGTH)}…`;
}

/** Takes the object, and holds it: it cannot go away while its volume is being moved. */
export function accepted({ metadata }: Movement, nowMs: number, extra: object = {}): object {
  const finalizers = withOurs(metadata.finalizers);
  return {
    metadata: { finalizers, labels: { [LABEL.exposeOnGoing]: 'true' } },
    status: { phase: 'Accepted' satisfies DataPhase, acceptedTimestamp: timestamp(nowMs), ...extra },
  };
}

export function prepared(): object {
  return { status: { phase: 'Prepared' satisfies DataPhase, message: '' } };
}

export function begun(nowMs: number): object {
  return {
    metadata: { labels: { [LABEL.exposeOnGoing]: null } },
    status: { phase: 'InProgress' satisfies DataPhase, startTimestamp: timestamp(nowMs), message: '' },
  };
}

export function canceling(): object {
  return { status: { phase: 'Canceling' satisfies DataPhase } };
}

export interface Ending {
  readonly phase: 'Completed' | 'Failed' | 'Canceled';
  readonly nowMs: number;
  readonly message?: string | undefined;
  readonly status?: object;
  readonly annotations?: Readonly<Record<string, string | null>>;
  /** Something is still to be done for the object. */
  readonly keepFinalizer?: boolean;
}

/**
 * The last step, and with it the object is let go in one write. One that is being deleted is let go by a write of its own: it would be
 * gone with its last phase, and a server that waits for that would wait for hours.
 */
export function ended(
  movement: Movement,
  { phase, nowMs, message, status, annotations, keepFinalizer = false }: Ending,
): object {
  const { metadata, status: before } = movement;
  const at = timestamp(nowMs);
  const start = before?.startTimestamp ?? undefined;
  return {
    metadata: {
      labels: { [LABEL.exposeOnGoing]: null },
      ...(keepFinalizer || isDeleting(movement) ? {} : { finalizers: withoutOurs(metadata.finalizers) }),
      ...(annotations === undefined ? {} : { annotations }),
    },
    status: {
      phase,
      completionTimestamp: at,
      // As in Velero a restore that fails before it begins never began.
      ...(start === undefined && !(phase === 'Failed' && movement.kind === 'PodVolumeRestore')
        ? { startTimestamp: at }
        : {}),
      message: statusMessage(message ?? ''),
      ...status,
    },
  };
}

export function held({ metadata }: Movement): object {
  return { metadata: { finalizers: withOurs(metadata.finalizers) } };
}

export function letGo({ metadata }: Movement, annotations?: Readonly<Record<string, string | null>>): object {
  const { finalizers } = metadata;
  return {
    metadata: { finalizers: withoutOurs(finalizers), ...(annotations === undefined ? {} : { annotations }) },
  };
}

/** Why it is cancelled, if that is what the object says; what it waited for last is of no interest any more. */
export function cancelNote({ status }: Movement): string {
  const { message = '' } = status ?? {};
  return /cancel/i.test(message) ? message : '';
}

export function cancelRequested(message: string): object {
  return { spec: { cancel: true }, status: { message } };
}

function withOurs(finalizers: readonly string[] = []): readonly string[] {
  return [...new Set([...finalizers, FINALIZER.podVolume])];
}

function withoutOurs(finalizers: readonly string[] = []): readonly string[] {
  return finalizers.filter((name) => name !== FINALIZER.podVolume);
}
