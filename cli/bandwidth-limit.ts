// Parses `--bwlimit`: `10MiB/s`, `UP:DOWN`, or times of the day with a rate each, `08:00-18:00=2MiB/s,else=off`.
import { InvalidArgumentError } from 'commander';
import type { BandwidthSchedule, BandwidthWindow, Rates } from '../repo-format/blob/wrap/bandwidth.ts';
import { parseSizeBytes } from './option-values.ts';

/** Slower than this the smallest pack takes hours, and the locks and windows of other programs run out. */
const MIN_BYTES_PER_SECOND = 1024;
const UNLIMITED: Rates = { upBytesPerSecond: undefined, downBytesPerSecond: undefined };

export function parseBandwidthLimit(text: string): BandwidthSchedule {
  const windows: BandwidthWindow[] = [];
  let otherwise: Rates | undefined;
  for (const part of text.split(',').map((each) => each.trim())) {
    const equals = part.indexOf('=');
    const when = equals < 0 ? 'else' : part.slice(0, equals).trim();
    const rates = parseRates(part.slice(equals + 1).trim());
    if (when !== 'else') windows.push({ ...parseTimes(when), rates });
    else if (otherwise === undefined) otherwise = rates;
    else throw new InvalidArgumentError(`two limits for the same time: ${text}`);
  }
  return { windows, otherwise: otherwise ?? UNLIMITED };
}

function parseTimes(text: string): { fromMinute: number; toMinute: number } {
  const [, from, to] = /^(\d\d?:\d\d)-(\d\d?:\d\d)$/.exec(text) ?? [];
  const [fromMinute, toMinute] = [from, to].map((time) => (time === undefined ? undefined : minuteOf(time)));
  if (fromMinute === undefined || toMinute === undefined || fromMinute === toMinute) {
    throw new InvalidArgumentError(`not times of the day: ${text} (write 08:00-18:00=2MiB/s)`);
  }
  return { fromMinute, toMinute };
}

/** 24:00 is the end of the day. */
function minuteOf(text: string): number | undefined {
  const [hour = 0, minute = 0] = text.split(':').map(Number);
  const minutes = hour * 60 + minute;
  return minute < 60 && minutes <= 24 * 60 ? minutes : undefined;
}

function parseRates(text: string): Rates {
  const [up = '', down = up, ...more] = text.split(':').map((each) => each.trim());
  if (more.length > 0) throw new InvalidArgumentError(`not a rate: ${text} (write 10MiB/s, or UP:DOWN)`);
  return { upBytesPerSecond: parseRate(up), downBytesPerSecond: parseRate(down) };
}

function parseRate(text: string): number | undefined {
  if (text === 'off') return undefined;
  const bytes = parseSizeBytes(text.replace(/\/s$/, ''));
  if (bytes < MIN_BYTES_PER_SECOND) throw new InvalidArgumentError(`${text}: at least 1KiB/s, or off`);
  return bytes;
}
