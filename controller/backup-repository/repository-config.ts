// The ConfigMap with the configuration of repositories (node-agent §6.2): one JSON object a type, kept as text in the repository.
import { WindlassError } from '../../base/errors.ts';

type Texts = Readonly<Record<string, string>>;

const HOUR_NS = 3_600_000_000_000n;
const FULL_INTERVALS: Readonly<Record<string, bigint>> = {
  normalGC: 24n * HOUR_NS,
  fastGC: 12n * HOUR_NS,
  eagerGC: 6n * HOUR_NS,
};

/** Undefined where the ConfigMap says nothing of the type; `REPOSITORY_CONFIG_INVALID` for what is no JSON object. */
export function readRepositoryConfig(data: Texts, type: string): Texts | undefined {
  const text = data[type];
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(`${type} is no JSON`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(`${type} is no JSON object`);
  const entries = Object.entries(value).map(([key, member]): [string, string] => {
    return [key, typeof member === 'string' ? member : JSON.stringify(member)];
  });
  return Object.fromEntries(entries);
}

/** Between full cycles of maintenance; `REPOSITORY_CONFIG_INVALID` for a word that means none. */
export function fullIntervalNs(config: Texts | null | undefined): bigint | undefined {
  const word = config?.['fullMaintenanceInterval'] ?? '';
  if (word === '') return undefined;
  const interval = FULL_INTERVALS[word];
  if (interval === undefined)
    throw invalid(`fullMaintenanceInterval is none of ${Object.keys(FULL_INTERVALS).join(', ')}`);
  return interval;
}

function invalid(reason: string): WindlassError {
  return new WindlassError(`the configuration of repositories cannot be used: ${reason}`, {
    code: 'REPOSITORY_CONFIG_INVALID',
  });
}
