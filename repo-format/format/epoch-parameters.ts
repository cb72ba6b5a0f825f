// The epoch parameters inside the repository's configuration (repository format §8.1).
import { encodeGoJson } from '../../base/go-json.ts';
import type { ExactJson, ExactJsonObject } from '../../base/go-json.ts';
import { WindlassError } from '../../base/errors.ts';
import { booleanMember, durationNsMember, integerMember, member, withUnknownMembers } from './json-members.ts';

export interface EpochParameters {
  readonly enabled: boolean;
  readonly epochRefreshFrequencyMs: number;
  /** Epochs between range compactions. */
  readonly fullCheckpointFrequency: number;
  readonly cleanupSafetyMarginMs: number;
  readonly minEpochDurationMs: number;
  readonly epochAdvanceOnCountThreshold: number;
  readonly epochAdvanceOnTotalSizeBytesThreshold: number;
  readonly deleteParallelism: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const MIB = 1024 * 1024;

export const DEFAULT_EPOCH_PARAMETERS: EpochParameters = {
  enabled: true,
  epochRefreshFrequencyMs: 20 * MINUTE_MS,
  fullCheckpointFrequency: 7,
  cleanupSafetyMarginMs: 4 * HOUR_MS,
  minEpochDurationMs: 24 * HOUR_MS,
  epochAdvanceOnCountThreshold: 20,
  epochAdvanceOnTotalSizeBytesThreshold: 10 * MIB,
  deleteParallelism: 4,
};

/** What format version 1 has: no epochs. */
export const NO_EPOCH_PARAMETERS: EpochParameters = {
  enabled: false,
  epochRefreshFrequencyMs: 0,
  fullCheckpointFrequency: 0,
  cleanupSafetyMarginMs: 0,
  minEpochDurationMs: 0,
  epochAdvanceOnCountThreshold: 0,
  epochAdvanceOnTotalSizeBytesThreshold: 0,
  deleteParallelism: 0,
};

const NS_PER_MS = 1_000_000;
const durationMs = (object: ExactJsonObject, name: string): number =>
  Number(durationNsMember(object, name)) / NS_PER_MS;
/** Exact for what `durationMs` read from whole microseconds; bigger than 2⁵³ it is a `bigint`. */
const durationNs = (ms: number): ExactJson => {
  const ns = BigInt(Math.round(ms * 1000)) * 1000n;
  return ns > BigInt(Number.MAX_SAFE_INTEGER) ? ns : Number(ns);
};

export function parseEpochParameters(object: ExactJsonObject): EpochParameters {
  return {
    enabled: booleanMember(object, 'Enabled'),
    epochRefreshFrequencyMs: durationMs(object, 'EpochRefreshFrequency'),
    fullCheckpointFrequency: integerMember(object, 'FullCheckpointFrequency'),
    cleanupSafetyMarginMs: durationMs(object, 'CleanupSafetyMargin'),
    minEpochDurationMs: durationMs(object, 'MinEpochDuration'),
    epochAdvanceOnCountThreshold: integerMember(object, 'EpochAdvanceOnCountThreshold'),
    epochAdvanceOnTotalSizeBytesThreshold: integerMember(object, 'EpochAdvanceOnTotalSizeBytesThreshold'),
    deleteParallelism: integerMember(object, 'DeleteParallelism'),
  };
}

/** All members, always; a value that did not change keeps its stored digits, and unknown members stay. */
export function encodeEpochParameters(parameters: EpochParameters, original: ExactJsonObject): ExactJsonObject {
  const before = membersOf(parseEpochParameters(original));
  const now = membersOf(parameters);
  const kept = Object.entries(now).map(([name, value]): [string, ExactJson] => {
    const stored = member(original, name);
    return [name, stored !== undefined && encodeGoJson(before[name] ?? null) === encodeGoJson(value) ? stored : value];
  });
  return withUnknownMembers(Object.fromEntries(kept), original);
}

function membersOf(parameters: EpochParameters): Readonly<Record<string, ExactJson>> {
  return {
    Enabled: parameters.enabled,
    EpochRefreshFrequency: durationNs(parameters.epochRefreshFrequencyMs),
    FullCheckpointFrequency: parameters.fullCheckpointFrequency,
    CleanupSafetyMargin: durationNs(parameters.cleanupSafetyMarginMs),
    MinEpochDuration: durationNs(parameters.minEpochDurationMs),
    EpochAdvanceOnCountThreshold: parameters.epochAdvanceOnCountThreshold,
    EpochAdvanceOnTotalSizeBytesThreshold: parameters.epochAdvanceOnTotalSizeBytesThreshold,
    DeleteParallelism: parameters.deleteParallelism,
  };
}

/** The constraints under which epochs are safe; `FORMAT_INVALID` names the one that is broken. */
export function validateEpochParameters(parameters: EpochParameters): void {
  if (!parameters.enabled) return;
  const { epochRefreshFrequencyMs: refreshMs, minEpochDurationMs: durationMsOfEpoch } = parameters;
  const broken = [
    refreshMs <= 0 && 'EpochRefreshFrequency must be above zero',
    durationMsOfEpoch < 10 * MINUTE_MS && 'MinEpochDuration must be at least ten minutes',
    3 * refreshMs > durationMsOfEpoch && 'MinEpochDuration must be at least three times EpochRefreshFrequency',
    parameters.cleanupSafetyMarginMs < 3 * refreshMs &&
      'CleanupSafetyMargin must be at least three times EpochRefreshFrequency',
    parameters.fullCheckpointFrequency <= 0 && 'FullCheckpointFrequency must be above zero',
    parameters.epochAdvanceOnCountThreshold < 10 && 'EpochAdvanceOnCountThreshold must be at least 10',
    parameters.epochAdvanceOnTotalSizeBytesThreshold < MIB &&
      'EpochAdvanceOnTotalSizeBytesThreshold must be at least 1 MiB',
  ].find((problem) => problem !== false);
  if (broken === undefined) return;
  throw new WindlassError(`invalid epoch parameters: ${broken}`, { code: 'FORMAT_INVALID' });
}
