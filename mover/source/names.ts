// File names are bytes; Kopia's entries hold strings. A name that is valid UTF-8 is its string. Any other gets a readable
// stand-in that is unique in its directory, and the entry keeps the raw bytes beside it (extra member `raw`). The
// stand-in depends only on the set of names in the directory, so an unchanged directory gives an unchanged object.

import { isUtf8 } from 'node:buffer';

/** Of one file name on every file system here; a longer stand-in could not be restored by kopia. */
const MAX_NAME_BYTES = 255;
/** Room for `~` and a number. */
const MAX_NUMBER_BYTES = 12;

export interface StandInName {
  readonly name: string;
  readonly raw: Uint8Array;
}

/** The string of a name that is valid UTF-8, else undefined. Fastest when `bytes` is a Buffer. HOT. */
export function decodeName(bytes: Uint8Array, start = 0, end: number = bytes.length): string | undefined {
  // A Buffer is asked by offsets; making one for every name would cost twice as much as the text.
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (isAscii(bytes, start, end)) return buffer.toString('latin1', start, end);
  return isUtf8(bytes.subarray(start, end)) ? buffer.toString('utf8', start, end) : undefined;
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    if ((bytes[i] as number) > 0x7f) return false;
  }
  return true;
}

/**
 * Stand-ins for the names of one directory that are not UTF-8, in the order of `rawNames`.
 *
 * Bytes outside valid sequences become `%XX`. A stand-in that a real name of the directory or an earlier stand-in (in
 * byte order of the raw names) has taken gets `~1`, `~2`… at its end. One longer than a file name can be is cut.
 * `isTaken` answers for the valid names.
 */
export function standInNames(
  rawNames: readonly Uint8Array[],
  isTaken: (name: string) => boolean,
): readonly StandInName[] {
  const given = new Set<string>();
  const lastNumbers = new Map<string, number>();
  const result = new Map<Uint8Array, StandInName>();
  for (const raw of rawNames.toSorted((a, b) => Buffer.compare(a, b))) {
    const whole = readable(raw);
    let name = cut(whole, MAX_NAME_BYTES);
    if (isTaken(name) || given.has(name)) {
      const base = cut(whole, MAX_NAME_BYTES - MAX_NUMBER_BYTES);
      let number = lastNumbers.get(base) ?? 0;
      do name = `${base}~${++number}`;
      while (isTaken(name) || given.has(name));
      lastNumbers.set(base, number);
    }
    given.add(name);
    result.set(raw, { name, raw });
  }
  return rawNames.map((raw) => result.get(raw) ?? { name: readable(raw), raw });
}

/** At most `limitBytes` of UTF-8, without half a character. */
function cut(name: string, limitBytes: number): string {
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length <= limitBytes) return name;
  let end = limitBytes;
  while (end > 0 && ((bytes[end] as number) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

function readable(raw: Uint8Array): string {
  let text = '';
  for (let at = 0; at < raw.length;) {
    const length = sequenceLength(raw, at);
    if (length === 0) {
      text += `%${(raw[at] as number).toString(16).toUpperCase().padStart(2, '0')}`;
      at++;
    } else {
      text += Buffer.from(raw.buffer, raw.byteOffset + at, length).toString('utf8');
      at += length;
    }
  }
  return text;
}

/** The length of the valid UTF-8 sequence that starts at `at`; 0 when none does. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] as number;
  const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  return at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length)) ? length : 0;
}
