// What the agent writes into a marker folder beside the empty completion marker: why a restore failed, and what it asks of the
// helper (docs/design/0009-restore-handshake.md). Whoever mounts the volume may have written these bytes, so they are bounded
// before they are read and cleaned before they are shown.

/** Longer files are not read: the reason of a failure is a line or two. */
export const MARKER_LIMIT_BYTES = 64 * 1024;

export const DEFAULT_DEADLINE_SECONDS = 24 * 60 * 60;
const SHORTEST_DEADLINE_SECONDS = 1;
/** 20 days: what a timer of this runtime can wait for, rounded down. */
const LONGEST_DEADLINE_SECONDS = 20 * 24 * 60 * 60;

/** Half of what the kubelet keeps of a termination message, so that several volumes' reasons have room. */
const SHOWN_CHARACTERS = 2000;

export interface RestoreFailure {
  readonly message: string;
  readonly code?: string;
  readonly podVolumeRestore?: string;
}

export interface RestoreOptions {
  readonly deadlineSeconds?: number;
  /** The agent writes the markers again when the helper runs again, so the helper may take them away. */
  readonly tidy?: boolean;
}

export interface ParsedOptions {
  readonly options: RestoreOptions;
  /** What of the file could not be used, for the log. */
  readonly complaint?: string;
}

/** Never fails: that there is a failure marker is the news, its reason only helps. */
export function parseFailure(bytes: Uint8Array): RestoreFailure {
  const value = parseObject(bytes);
  if (value === undefined) return { message: 'no reason given: the failure marker is not a JSON object' };
  const message = textOf(value['message']) ?? 'no reason given';
  const code = textOf(value['code']);
  const podVolumeRestore = textOf(value['podVolumeRestore']);
  return {
    message,
    ...(code === undefined ? {} : { code }),
    ...(podVolumeRestore === undefined ? {} : { podVolumeRestore }),
  };
}

/** What holds when a volume's options cannot be used. It is said out, so that another volume's shorter deadline does not win. */
export const FALLBACK_OPTIONS: RestoreOptions = { deadlineSeconds: DEFAULT_DEADLINE_SECONDS };

/** Never fails: an option that cannot be used has its default, and that is said. Members that are not known yet are no error. */
export function parseOptions(bytes: Uint8Array): ParsedOptions {
  const value = parseObject(bytes);
  if (value === undefined) return { options: FALLBACK_OPTIONS, complaint: 'the options are not a JSON object' };
  const complaints: string[] = [];
  let options: RestoreOptions = {};
  const { deadlineSeconds, tidy } = value;
  if (isDeadline(deadlineSeconds)) options = { deadlineSeconds };
  else if (deadlineSeconds !== undefined) {
    options = FALLBACK_OPTIONS;
    complaints.push(
      `deadlineSeconds is not a whole number from ${SHORTEST_DEADLINE_SECONDS} to ${LONGEST_DEADLINE_SECONDS}`,
    );
  }
  if (typeof tidy === 'boolean') options = { ...options, tidy };
  else if (tidy !== undefined) complaints.push('tidy is neither true nor false');
  return complaints.length === 0 ? { options } : { options, complaint: complaints.join('; ') };
}

/** One line of bounded length and without control characters: fit for a log and for a termination message. */
export function shown(text: string): string {
  const line = text.replaceAll(/[\s\p{Cc}\p{Cf}]+/gu, ' ').trim();
  return line.length <= SHOWN_CHARACTERS ? line : `${line.slice(0, SHOWN_CHARACTERS)}…`;
}

function isDeadline(value: unknown): value is number {
  return (
    Number.isInteger(value) && Number(value) >= SHORTEST_DEADLINE_SECONDS && Number(value) <= LONGEST_DEADLINE_SECONDS
  );
}

function textOf(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const text = shown(value);
  return text === '' ? undefined : text;
}

function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return value as Readonly<Record<string, unknown>>; // an object with string keys, which is all that is claimed
  } catch {
    return undefined; // neither UTF-8 nor JSON: the caller says so
  }
}
