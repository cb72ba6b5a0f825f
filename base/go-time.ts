// Timestamps as Go writes them in JSON: RFC 3339 with nanoseconds, trailing zeros of the fraction removed (snapshots §0).
// The hot forms work on seconds and nanoseconds as plain numbers; BigInt nanoseconds are for the rest.

/** The first and last instants an int64 count of nanoseconds holds (1677-09-21 … 2262-04-11). */
export const MIN_TIMESTAMP_NS = -(2n ** 63n);
export const MAX_TIMESTAMP_NS = 2n ** 63n - 1n;
const MIN_SECONDS = -9223372037;
const MIN_NANOS = 145224192;
const MAX_SECONDS = 9223372036;
const MAX_NANOS = 854775807;

const NS_PER_SECOND = 1_000_000_000n;
const SECONDS_PER_DAY = 86400;

/** Whether an int64 count of nanoseconds can hold the instant. `nanos` is 0…999,999,999, also before 1970. */
export function fitsInt64Ns(seconds: number, nanos: number): boolean {
  if (seconds > MIN_SECONDS && seconds < MAX_SECONDS) return true;
  if (seconds === MIN_SECONDS) return nanos >= MIN_NANOS;
  return seconds === MAX_SECONDS && nanos <= MAX_NANOS;
}

/** The instant itself, or the nearest one that an int64 count of nanoseconds holds. */
export function clampToInt64Ns(seconds: number, nanos: number): { seconds: number; nanos: number } {
  if (fitsInt64Ns(seconds, nanos)) return { seconds, nanos };
  return seconds < 0 ? { seconds: MIN_SECONDS, nanos: MIN_NANOS } : { seconds: MAX_SECONDS, nanos: MAX_NANOS };
}

// Most neighbours in a directory were modified on the same day: the last day's text is kept.
let cachedDay = Number.NaN;
let cachedDayText = '';

/** HOT. The instant as `2017-07-14T02:40:00.5Z`; years 0000 to 9999. An instant int64 cannot hold is clamped by the caller. */
export function formatTimestamp(seconds: number, nanos: number): string {
  const day = Math.floor(seconds / SECONDS_PER_DAY);
  if (day !== cachedDay) {
    cachedDayText = formatDay(day);
    cachedDay = day;
  }
  const rest = seconds - day * SECONDS_PER_DAY;
  const hour = (rest / 3600) | 0;
  const minute = ((rest / 60) | 0) % 60;
  const second = rest % 60;
  const time = `${cachedDayText}${TWO_DIGITS[hour]}:${TWO_DIGITS[minute]}:${TWO_DIGITS[second]}`;
  return nanos === 0 ? `${time}Z` : `${time}${formatFraction(nanos)}Z`;
}

const TWO_DIGITS: readonly string[] = Array.from({ length: 100 }, (_, n) => String(n).padStart(2, '0'));

/** `.5`, `.000000001`: nine digits without trailing zeros. `nanos` is not 0. */
function formatFraction(nanos: number): string {
  let digits = nanos;
  let width = 9;
  while (digits % 10 === 0) {
    digits /= 10;
    width--;
  }
  const text = String(digits);
  return `.${'00000000'.slice(0, width - text.length)}${text}`;
}

/** `YYYY-MM-DDT` of a day counted from 1970-01-01, in the proleptic Gregorian calendar. */
function formatDay(day: number): string {
  // Years start in March and eras have 400 years, so that the leap day is the last day of everything.
  const shifted = day + 719468;
  const era = Math.floor(shifted / 146097);
  const dayOfEra = shifted - era * 146097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36524) - Math.floor(dayOfEra / 146096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const dayOfMonth = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return `${String(year).padStart(4, '0')}-${TWO_DIGITS[month]}-${TWO_DIGITS[dayOfMonth]}T`;
}

/** Days from 1970-01-01 to the given date; the inverse of {@link formatDay}. */
function daysFromCivil(year: number, month: number, dayOfMonth: number): number {
  const shiftedYear = month <= 2 ? year - 1 : year;
  const era = Math.floor(shiftedYear / 400);
  const yearOfEra = shiftedYear - era * 400;
  const monthFromMarch = month > 2 ? month - 3 : month + 9;
  const dayOfYear = Math.floor((153 * monthFromMarch + 2) / 5) + dayOfMonth - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146097 + dayOfEra - 719468;
}

const NS_TEXT =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})$/;

const ZERO = 48;

/**
 * HOT. Reads timestamps into its fields, without garbage for the form kopia writes (UTC, at most nine digits of
 * fraction). One per user; not to be shared across an `await`.
 */
export class TimestampReader {
  seconds = 0;
  /** 0…999,999,999 */
  nanos = 0;

  /** False, with the fields unspecified, when `text` is not an RFC 3339 time. */
  read(text: string): boolean {
    const length = text.length;
    if (length < 20 || length > 30 || text.charCodeAt(length - 1) !== 0x5a) return this.#readAny(text);
    const year = digitsAt(text, 0, 4);
    const month = digitsAt(text, 5, 2);
    const day = digitsAt(text, 8, 2);
    const hour = digitsAt(text, 11, 2);
    const minute = digitsAt(text, 14, 2);
    const second = digitsAt(text, 17, 2);
    const separators =
      text.charCodeAt(4) === 0x2d &&
      text.charCodeAt(7) === 0x2d &&
      text.charCodeAt(10) === 0x54 &&
      text.charCodeAt(13) === 0x3a &&
      text.charCodeAt(16) === 0x3a;
    if (!separators || !isCivil(year, month, day, hour, minute, second)) return false;
    this.nanos = 0;
    if (length > 20) {
      if (text.charCodeAt(19) !== 0x2e || length === 21) return this.#readAny(text);
      const width = length - 21;
      const fraction = digitsAt(text, 20, width);
      if (fraction < 0) return false;
      this.nanos = fraction * (POWERS_OF_TEN[9 - width] ?? 0);
    }
    this.seconds = daysFromCivil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    return true;
  }

  #readAny(text: string): boolean {
    const match = text.length <= 64 ? NS_TEXT.exec(text) : null;
    if (match === null) return false;
    const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number);
    if (year === undefined || month === undefined || day === undefined) return false;
    if (hour === undefined || minute === undefined || second === undefined) return false;
    if (!isCivil(year, month, day, hour, minute, second)) return false;
    const zone = zoneSeconds(match[8] ?? 'Z');
    if (zone === undefined) return false;
    // Go drops digits past the ninth.
    this.nanos = Number((match[7] ?? '0').slice(0, 9).padEnd(9, '0'));
    this.seconds = daysFromCivil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - zone;
    return true;
  }
}

const POWERS_OF_TEN = [1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/** The number of `count` digits at `offset`, negative when one is not a digit. */
function digitsAt(text: string, offset: number, count: number): number {
  let value = 0;
  for (let i = offset; i < offset + count; i++) {
    const digit = text.charCodeAt(i) - ZERO;
    // A missing character is NaN and fails both comparisons' negation.
    if (!(digit >= 0 && digit <= 9)) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function isCivil(year: number, month: number, day: number, hour: number, minute: number, second: number): boolean {
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return false;
  return hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 && second <= 59;
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

function zoneSeconds(zone: string): number | undefined {
  if (zone === 'Z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(4, 6));
  if (hours > 23 || minutes > 59) return undefined;
  return (zone.startsWith('-') ? -1 : 1) * (hours * 3600 + minutes * 60);
}

/** Nanoseconds since 1970 of a seconds–nanoseconds pair. */
export function toNs(seconds: number, nanos: number): bigint {
  return BigInt(seconds) * NS_PER_SECOND + BigInt(nanos);
}

/** The inverse of {@link toNs}; `nanos` is never negative. */
export function fromNs(ns: bigint): { seconds: number; nanos: number } {
  let nanos = ns % NS_PER_SECOND;
  if (nanos < 0n) nanos += NS_PER_SECOND;
  return { seconds: Number((ns - nanos) / NS_PER_SECOND), nanos: Number(nanos) };
}

export function formatTimestampNs(ns: bigint): string {
  const { seconds, nanos } = fromNs(ns);
  return formatTimestamp(seconds, nanos);
}

/** Nanoseconds since 1970, any RFC 3339 zone; undefined when `text` is not a timestamp. */
export function parseTimestampNs(text: string): bigint | undefined {
  const reader = new TimestampReader();
  return reader.read(text) ? toNs(reader.seconds, reader.nanos) : undefined;
}
