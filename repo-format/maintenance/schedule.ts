// The maintenance schedule: when the next cycles are due, and how the last runs of each task went (blob
// `kopia.maintenance`, repository format §1.6, snapshots §7.2). Successes in it decide what later runs may delete, so
// only what really happened is written, and what others wrote stays as it is, letter by letter.
import { hasCode, WindlassError } from '../../base/errors.ts';
import { encodeGoJson, quoteGoString, splitJsonArray, splitJsonObject, type RawMember } from '../../base/go-json.ts';
import { formatTimestampNs, parseTimestampNs } from '../../base/go-time.ts';
import type { RandomSource } from '../../base/random.ts';
import type { BlobId, BlobMetadata, BlobStorage } from '../blob/storage.ts';
import { openAead, sealAeadInto, AEAD_OVERHEAD_BYTES } from '../crypto/aead.ts';
import { NONCE_BYTES } from '../crypto/direct-crypto.ts';
import { deriveMaintenanceKey } from '../crypto/key-derivation.ts';
import type { OpenFormat } from '../format/open-format.ts';
import type { TaskName, TaskStats } from './task-name.ts';

export const SCHEDULE_BLOB_ID = 'kopia.maintenance' as BlobId;

/** Go's zero time: never. */
export const NEVER_NS = parseTimestampNs('0001-01-01T00:00:00Z') ?? 0n;

/** What is known of one run of a task. */
export interface RunInfo {
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly success: boolean;
  /** Empty when there was none. */
  readonly error: string;
  /** Exactly as stored. */
  readonly raw: string;
}

export interface Schedule {
  readonly nextFullNs: bigint;
  readonly nextQuickNs: bigint;
  /** By task, newest first. */
  readonly runs: ReadonlyMap<string, readonly RunInfo[]>;
  /** Members that are not known here. */
  readonly others: readonly RawMember[];
}

export const EMPTY_SCHEDULE: Schedule = { nextFullNs: NEVER_NS, nextQuickNs: NEVER_NS, runs: new Map(), others: [] };

const AAD = new TextEncoder().encode('maintenance');
const MAX_RUNS = 50;
/** 14 tasks, 50 runs each, some 500 bytes a run: a blob of this size is something else. */
const MAX_SCHEDULE_BYTES = 16 * 2 ** 20;

/** The empty schedule when there is no blob. `MAINTENANCE_SCHEDULE_INVALID` when it does not open or cannot be read. */
export async function loadSchedule(storage: BlobStorage, format: OpenFormat, signal: AbortSignal): Promise<Schedule> {
  let sealed: Uint8Array;
  try {
    const { length } = await storage.getMetadata(SCHEDULE_BLOB_ID, signal);
    if (length > MAX_SCHEDULE_BYTES) throw scheduleInvalid(`it has ${length} bytes`);
    sealed = await storage.getBlob(SCHEDULE_BLOB_ID, undefined, signal);
  } catch (error) {
    if (hasCode(error, 'BLOB_NOT_FOUND')) return EMPTY_SCHEDULE;
    throw error;
  }
  return parseSchedule(openSchedule(sealed, format));
}

/** Replaces the blob. What resolves holds the store's own time of it. */
export async function storeSchedule(
  storage: BlobStorage,
  format: OpenFormat,
  schedule: Schedule,
  random: RandomSource,
  signal: AbortSignal,
): Promise<BlobMetadata> {
  const plain = new TextEncoder().encode(encodeSchedule(schedule));
  const sealed = new Uint8Array(plain.length + AEAD_OVERHEAD_BYTES);
  const key = maintenanceKey(format);
  sealAeadInto({ name: 'aes-256-gcm', key, nonce: random.bytes(NONCE_BYTES), aad: AAD }, plain, sealed, 0);
  return storage.putBlob(SCHEDULE_BLOB_ID, sealed, signal);
}

function openSchedule(sealed: Uint8Array, format: OpenFormat): string {
  let plain: Uint8Array | undefined;
  try {
    plain = openAead({ name: 'aes-256-gcm', key: maintenanceKey(format), aad: AAD }, sealed);
  } catch (cause) {
    throw scheduleInvalid('it is too short', cause);
  }
  if (plain === undefined) throw scheduleInvalid('it does not open');
  return new TextDecoder().decode(plain);
}

function maintenanceKey(format: OpenFormat): Uint8Array {
  const { config, formatKey, uniqueId } = format;
  return deriveMaintenanceKey(config.enablePasswordChange ? config.masterKey : formatKey, uniqueId);
}

export function parseSchedule(text: string): Schedule {
  try {
    const members = splitJsonObject(text);
    const runs = new Map<string, readonly RunInfo[]>();
    const stored = rawMember(members, 'runs') ?? 'null';
    if (stored !== 'null') {
      for (const { key, raw } of splitJsonObject(stored)) {
        runs.set(key, raw === 'null' ? [] : splitJsonArray(raw).map(parseRun));
      }
    }
    return {
      nextFullNs: timeMember(members, 'nextFullMaintenance'),
      nextQuickNs: timeMember(members, 'nextQuickMaintenance'),
      runs,
      others: members.filter(({ key }) => !KNOWN_MEMBERS.has(key.toLowerCase())),
    };
  } catch (cause) {
    if (hasCode(cause, 'MAINTENANCE_SCHEDULE_INVALID')) throw cause;
    throw scheduleInvalid('it is not what kopia writes', cause);
  }
}

const KNOWN_MEMBERS = new Set(['nextfullmaintenance', 'nextquickmaintenance', 'runs']);

function parseRun(raw: string): RunInfo {
  const members = splitJsonObject(raw);
  const success: unknown = JSON.parse(rawMember(members, 'success') ?? 'false');
  const error: unknown = JSON.parse(rawMember(members, 'error') ?? '""');
  return {
    startNs: timeMember(members, 'start'),
    endNs: timeMember(members, 'end'),
    success: success === true,
    error: typeof error === 'string' ? error : '',
    raw,
  };
}

/** As Go reads: in any case, and of several the last one. */
function rawMember(members: readonly RawMember[], name: string): string | undefined {
  return members.findLast(({ key }) => key.toLowerCase() === name.toLowerCase())?.raw;
}

function timeMember(members: readonly RawMember[], name: string): bigint {
  const value: unknown = JSON.parse(rawMember(members, name) ?? 'null');
  if (value === null) return NEVER_NS;
  const timeNs = typeof value === 'string' ? parseTimestampNs(value) : undefined;
  if (timeNs === undefined) throw scheduleInvalid(`${name} is not a time`);
  return timeNs;
}

export function encodeSchedule(schedule: Schedule): string {
  const members = [
    `"nextFullMaintenance":"${formatTimestampNs(schedule.nextFullNs)}"`,
    `"nextQuickMaintenance":"${formatTimestampNs(schedule.nextQuickNs)}"`,
    `"runs":${encodeRuns(schedule.runs)}`,
    ...schedule.others.map(({ key, raw }) => `${quoteGoString(key)}:${raw}`),
  ];
  return `{${members.join(',')}}`;
}

function encodeRuns(runs: Schedule['runs']): string {
  if (runs.size === 0) return 'null';
  const tasks = [...runs].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${tasks.map(([task, infos]) => `${quoteGoString(task)}:[${infos.map(({ raw }) => raw).join(',')}]`).join(',')}}`;
}

/** How a run went, for {@link withRun}. */
export interface RunOutcome {
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** Undefined for a success. */
  readonly error?: string;
  readonly stats?: TaskStats | undefined;
}

/** The schedule with one more run of `task`, which must have happened. */
export function withRun(schedule: Schedule, task: TaskName, outcome: RunOutcome): Schedule {
  const runs = new Map(schedule.runs);
  runs.set(task, [runInfo(outcome), ...(runs.get(task) ?? [])].slice(0, MAX_RUNS));
  return { ...schedule, runs };
}

function runInfo({ startNs, endNs, error, stats }: RunOutcome): RunInfo {
  const success = error === undefined;
  const extra =
    stats === undefined ? '' : `,"extra":[{"kind":${quoteGoString(stats.kind)},"data":${encodeGoJson(stats.data)}}]`;
  const outcome = success ? `,"success":true${extra}` : `,"error":${quoteGoString(error)}`;
  return {
    startNs,
    endNs,
    success,
    error: error ?? '',
    raw: `{"start":"${formatTimestampNs(startNs)}","end":"${formatTimestampNs(endNs)}"${outcome}}`,
  };
}

/** When the last successful run of any of `tasks` ended; undefined when none did. */
export function lastSuccessEndNs(schedule: Schedule, ...tasks: readonly TaskName[]): bigint | undefined {
  let latest: bigint | undefined;
  for (const task of tasks) {
    for (const { success, endNs } of schedule.runs.get(task) ?? []) {
      if (success && (latest === undefined || endNs > latest)) latest = endNs;
    }
  }
  return latest;
}

function scheduleInvalid(what: string, cause?: unknown): WindlassError {
  return new WindlassError(`the maintenance schedule cannot be read: ${what}`, {
    code: 'MAINTENANCE_SCHEDULE_INVALID',
    context: { blobId: SCHEDULE_BLOB_ID },
    ...(cause === undefined ? {} : { cause }),
  });
}
