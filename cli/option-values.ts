// Parses the values of options. Commander adds the option's name to the message of what they throw.
import { InvalidArgumentError } from 'commander';

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 2 ** 10,
  kib: 2 ** 10,
  m: 2 ** 20,
  mib: 2 ** 20,
  g: 2 ** 30,
  gib: 2 ** 30,
  t: 2 ** 40,
  tib: 2 ** 40,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
};

/** `256MiB`, `1.5g`, `1000`. */
export function parseSizeBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = UNITS[(match?.[2] ?? '?').toLowerCase()];
  if (match === null || unit === undefined)
    throw new InvalidArgumentError(`not a size: ${text} (write 256MiB, 2GiB …)`);
  const sizeBytes = Math.round(Number(match[1]) * unit);
  if (!Number.isSafeInteger(sizeBytes)) throw new InvalidArgumentError(`size out of range: ${text}`);
  return sizeBytes;
}

export function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError(`not a whole number: ${text}`);
  return Number(text);
}

export function parsePositive(text: string): number {
  const value = parseCount(text);
  if (value === 0) throw new InvalidArgumentError('must be at least 1');
  return value;
}

/** Each worker thread has a heap and buffers of its own: a slip of the finger must not take the machine's memory. */
const MAX_WORKER_THREADS = 64;

export function parseThreads(text: string): number {
  const value = parsePositive(text);
  if (value > MAX_WORKER_THREADS) throw new InvalidArgumentError(`at most ${MAX_WORKER_THREADS} worker threads`);
  return value;
}

export function parsePercent(text: string): number {
  const value = Number(text);
  if (!/^\d{1,3}(\.\d+)?$/.test(text) || value > 100)
    throw new InvalidArgumentError(`not a percentage between 0 and 100: ${text}`);
  return value;
}

export function parseBoolean(text: string): boolean {
  if (text === 'true' || text === 'yes') return true;
  if (text === 'false' || text === 'no') return false;
  throw new InvalidArgumentError(`not true or false: ${text}`);
}

/** `k:v`; the first colon separates, a value may hold more of them. */
export function parseTag(text: string): readonly [key: string, value: string] {
  const colon = text.indexOf(':');
  if (colon <= 0) throw new InvalidArgumentError(`not a tag: ${text} (write key:value)`);
  return [text.slice(0, colon), text.slice(colon + 1)];
}

/** For options that may be given several times. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

/** A comma separated list of known words; several uses of the option add up. */
export function parseList<T extends string>(
  known: readonly T[],
): (text: string, previous: readonly T[] | undefined) => readonly T[] {
  return (text, previous) => {
    const words = text.split(',').map((word) => {
      const found = known.find((candidate) => candidate === word.trim());
      if (found === undefined) throw new InvalidArgumentError(`allowed are ${known.join(', ')}`);
      return found;
    });
    return [...new Set([...(previous ?? []), ...words])];
  };
}

/** Collects `--tag` values into one object. */
export function collectTag(
  text: string,
  previous: Readonly<Record<string, string>> | undefined,
): Record<string, string> {
  const [key, value] = parseTag(text);
  return { ...previous, [key]: value };
}

const DURATION_NS: Readonly<Record<string, bigint>> = {
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: 86_400_000_000_000n,
};

/** `24h`, `1h30m`, `90s`, `7d`, in nanoseconds. */
export function parseDurationNs(text: string): bigint {
  if (!/^(\d{1,9}[smhd])+$/.test(text))
    throw new InvalidArgumentError(`not a duration: ${text} (write 90s, 15m, 1h30m, 24h, 7d …)`);
  let total = 0n;
  for (const [, count = '', unit = ''] of text.matchAll(/(\d+)([smhd])/g))
    total += BigInt(count) * (DURATION_NS[unit] ?? 0n);
  return total;
}
