// Which snapshots of one source a retention policy keeps, and why (snapshots §4.8). Pure: plans, deletes nothing.
import type { ManifestId } from '../manifest/manifest-entry.ts';

/** Limits; absent ones keep nothing of their kind. */
export interface RetentionLimits {
  readonly keepLatest?: number;
  readonly keepHourly?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepAnnual?: number;
}

export interface RetainedSnapshot {
  readonly id: ManifestId;
  readonly startTimeNs: bigint;
  readonly endTimeNs: bigint;
  readonly incomplete?: string | undefined;
  readonly pins: readonly string[];
}

export interface RetentionDecision<T extends RetainedSnapshot> {
  readonly snapshot: T;
  /** `latest-1`, `daily-3`, `incomplete`…, in kopia's order of display. */
  readonly reasons: readonly string[];
  /** Has a reason or a pin. */
  readonly keep: boolean;
}

/** Minutes east of UTC at an instant. Kopia counts weeks and cutoffs in the zone of the machine. */
export type ZoneOffset = (timeMs: number) => number;

const utc: ZoneOffset = () => 0;

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const INCOMPLETE_KEPT_MS = 4 * HOUR_MS;
const INCOMPLETE_KEPT_COUNT = 3;

type Kind = 'latest' | 'annual' | 'monthly' | 'weekly' | 'daily' | 'hourly';

interface Rule {
  readonly kind: Kind;
  readonly limit: number;
  readonly cutoffMs: number;
  readonly periodOf: (index: number, timeMs: number) => string;
}

/** A decision for each snapshot, newest first. All snapshots are of one source. */
export function planRetention<T extends RetainedSnapshot>(
  snapshots: readonly T[],
  limits: RetentionLimits,
  zoneOffset: ZoneOffset = utc,
): RetentionDecision<T>[] {
  const sorted = [...snapshots].sort(newestFirst);
  const newestComplete = sorted.find(({ incomplete }) => incomplete === undefined);
  const rules = newestComplete === undefined ? [] : makeRules(limits, toMs(newestComplete.startTimeNs), zoneOffset);
  // Periods of all kinds share one set, as in kopia.
  const takenPeriods = new Set<string>();
  const counters = new Map<Kind, number>();
  const keptIncomplete = countKeptIncomplete(sorted);
  return sorted.map((snapshot, index) => {
    const reasons =
      snapshot.incomplete === undefined
        ? reasonsFor(index, toMs(snapshot.startTimeNs), rules, takenPeriods, counters)
        : index < keptIncomplete
          ? ['incomplete']
          : [];
    return { snapshot, reasons, keep: reasons.length > 0 || snapshot.pins.length > 0 };
  });
}

function newestFirst(a: RetainedSnapshot, b: RetainedSnapshot): number {
  if (a.startTimeNs !== b.startTimeNs) return a.startTimeNs > b.startTimeNs ? -1 : 1;
  if (a.endTimeNs !== b.endTimeNs) return a.endTimeNs > b.endTimeNs ? -1 : 1;
  return 0;
}

/** Of the incomplete ones newer than every complete one: the young ones, and three in any case. */
function countKeptIncomplete(sorted: readonly RetainedSnapshot[]): number {
  const [newest] = sorted;
  if (newest === undefined) return 0;
  const end = sorted.findIndex(
    ({ incomplete, startTimeNs }, index) =>
      incomplete === undefined ||
      !(toMs(newest.startTimeNs - startTimeNs) < INCOMPLETE_KEPT_MS || index < INCOMPLETE_KEPT_COUNT),
  );
  return end === -1 ? sorted.length : end;
}

/** The order matters: a period taken by one kind is not taken again by a later one. */
function makeRules(limits: RetentionLimits, newestMs: number, zoneOffset: ZoneOffset): Rule[] {
  const { keepLatest, keepHourly, keepDaily, keepWeekly, keepMonthly, keepAnnual } = limits;
  const all = [keepLatest, keepHourly, keepDaily, keepWeekly, keepMonthly, keepAnnual];
  const isUnlimited = all.reduce<number>((sum, limit) => sum + (limit ?? 0), 0) === 0;
  const iso = (timeMs: number): string => new Date(timeMs).toISOString();
  const ago = (years: number, months: number, days: number): number =>
    calendarAgo(newestMs, { years, months, days }, zoneOffset);
  const rules: (Rule | undefined)[] = [
    rule(
      'latest',
      isUnlimited ? Infinity : keepLatest,
      () => -Infinity,
      (index) => String(index),
    ),
    rule(
      'annual',
      keepAnnual,
      (n) => ago(n, 0, 0),
      (_, timeMs) => iso(timeMs).slice(0, -20),
    ),
    rule(
      'monthly',
      keepMonthly,
      (n) => ago(0, n, 0),
      (_, timeMs) => iso(timeMs).slice(0, -17),
    ),
    rule(
      'weekly',
      keepWeekly,
      (n) => ago(0, 0, 7 * n),
      (_, timeMs) => isoWeek(timeMs + zoneOffset(timeMs) * MINUTE_MS),
    ),
    rule(
      'daily',
      keepDaily,
      (n) => ago(0, 0, n),
      (_, timeMs) => iso(timeMs).slice(0, -14),
    ),
    rule(
      'hourly',
      keepHourly,
      (n) => newestMs - n * HOUR_MS,
      (_, timeMs) => iso(timeMs).slice(0, -11).replace('T', ' '),
    ),
  ];
  return rules.filter((each) => each !== undefined);
}

function rule(
  kind: Kind,
  limit: number | undefined,
  cutoff: (limit: number) => number,
  periodOf: Rule['periodOf'],
): Rule | undefined {
  return limit === undefined ? undefined : { kind, limit, cutoffMs: cutoff(limit), periodOf };
}

/** Calendar arithmetic in local time; 31 March less a month is 3 March, as in Go. Unreachably long ago is -Infinity. */
function calendarAgo(
  timeMs: number,
  { years, months, days }: { years: number; months: number; days: number },
  zoneOffset: ZoneOffset,
): number {
  const local = new Date(timeMs + zoneOffset(timeMs) * MINUTE_MS);
  local.setUTCFullYear(local.getUTCFullYear() - years, local.getUTCMonth() - months, local.getUTCDate() - days);
  const shifted = local.getTime();
  return Number.isNaN(shifted) ? -Infinity : shifted - zoneOffset(shifted) * MINUTE_MS;
}

/** `2026-07`: the ISO 8601 week, whose year is that of its Thursday. */
function isoWeek(localMs: number): string {
  const day = new Date(localMs);
  const daysFromMonday = (day.getUTCDay() + 6) % 7;
  const thursday = new Date(localMs + (3 - daysFromMonday) * DAY_MS);
  const yearStart = Date.UTC(thursday.getUTCFullYear(), 0, 1);
  const week = 1 + Math.floor((thursday.getTime() - yearStart) / (7 * DAY_MS));
  return `${String(thursday.getUTCFullYear()).padStart(4, '0')}-${String(week).padStart(2, '0')}`;
}

function reasonsFor(
  index: number,
  timeMs: number,
  rules: readonly Rule[],
  takenPeriods: Set<string>,
  counters: Map<Kind, number>,
): string[] {
  const reasons: { kind: Kind; text: string }[] = [];
  for (const { kind, limit, cutoffMs, periodOf } of rules) {
    if (timeMs < cutoffMs) continue;
    const period = periodOf(index, timeMs);
    const used = counters.get(kind) ?? 0;
    if (takenPeriods.has(period) || used >= limit) continue;
    takenPeriods.add(period);
    counters.set(kind, used + 1);
    reasons.push({ kind, text: `${kind}-${used + 1}` });
  }
  return reasons.sort((a, b) => DISPLAY_ORDER[a.kind] - DISPLAY_ORDER[b.kind]).map(({ text }) => text);
}

const DISPLAY_ORDER: Readonly<Record<Kind, number>> = {
  latest: 1,
  hourly: 2,
  daily: 3,
  weekly: 4,
  monthly: 5,
  annual: 6,
};

function toMs(ns: bigint): number {
  // Rounded down; below a millisecond nothing is decided.
  return Number(ns / 1_000_000n);
}
