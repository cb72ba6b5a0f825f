// Walks the entries of an earlier directory object beside the entries of today, both in the order of their names, on the
// stored bytes: an entry that is what it was has the very bytes that would be written for it now, so nothing of it needs
// to be parsed. Whatever does not look like kopia's own form or order is left to `PreviousDirectory`, which parses.
import { DIRECTORY_HEAD } from './directory-object.ts';
import type { ComposedEntry } from './entry-buffer.ts';

const HEAD = Buffer.from(`${DIRECTORY_HEAD}[`, 'latin1');
const NAME = Buffer.from('{"name":"', 'latin1');
const DIRECTORY = Buffer.from(',"type":"d"', 'latin1');
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;

export class EntryCursor {
  readonly bytes: Buffer;
  /** Of the entry at hand; −1 when the bytes are not of the form that is understood here, or out of order. */
  #at: number;
  /** The entry before the one at hand, whose name is smaller: what went past must not be asked for again. */
  #isPastDirectories = false;

  constructor(object: Uint8Array) {
    this.bytes = Buffer.from(object.buffer, object.byteOffset, object.length);
    const { bytes } = this;
    this.#at = startsWith(bytes, 0, HEAD) && startsWith(bytes, HEAD.length, NAME) ? HEAD.length : -1;
  }

  /** False when the entries must be parsed to find anything. */
  get isUsable(): boolean {
    return this.#at >= 0;
  }

  /**
   * HOT. The offset of the entry with the composed one's name, −1 when there is none, or when it cannot be said: then
   * `isUsable` is false from now on. Names must be asked for in ascending order.
   */
  seek(wanted: ComposedEntry): number {
    if (!wanted.isPlainName) this.#at = -1;
    if (this.#at >= 0 && !this.#isPastDirectories) this.#skipDirectories();
    while (this.#at >= 0 && this.#at < this.bytes.length) {
      const order = this.#compareName(wanted);
      if (order === 0) return this.#at;
      if (order > 0 || this.#at < 0) return -1;
      this.#next();
    }
    return -1;
  }

  /**
   * HOT. The id in the entry at `at`, when that is the composed entry byte for byte with nothing behind its object; ''
   * otherwise. Moves on to the next entry.
   */
  takeSame(at: number, wanted: ComposedEntry): string {
    const { bytes } = this;
    const length = wanted.end - wanted.start;
    // The name was compared already.
    for (let i = wanted.nameEnd - wanted.start; i < length; i++) {
      if (bytes[at + i] !== wanted.bytes[wanted.start + i]) return '';
    }
    const idStart = at + length;
    let end = idStart;
    while (isIdLetter(bytes[end] ?? 0)) end++;
    if (end === idStart || bytes[end] !== QUOTE || bytes[end + 1] !== 0x7d) return '';
    this.#moveTo(end + 2);
    return bytes.toString('latin1', idStart, end);
  }

  /** The text of the entry at `at`, which may be any; moves on. */
  takeText(at: number): string {
    const end = entryEnd(this.bytes, at);
    this.#moveTo(end);
    return this.bytes.toString('utf8', at, end);
  }

  #next(): void {
    this.#moveTo(entryEnd(this.bytes, this.#at));
  }

  /** `end` is behind an entry. */
  #moveTo(end: number): void {
    const { bytes } = this;
    if (bytes[end] !== COMMA) this.#at = bytes.length;
    else this.#at = startsWith(bytes, end + 1, NAME) ? end + 1 : -1;
  }

  #skipDirectories(): void {
    const { bytes } = this;
    this.#isPastDirectories = true;
    while (this.#at >= 0 && this.#at < bytes.length) {
      let at = this.#at + NAME.length;
      while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
      if (!startsWith(bytes, at + 1, DIRECTORY)) return;
      this.#next();
    }
  }

  /** Below 0 when the name at hand comes before the wanted one. An escape in the way makes the cursor unusable. */
  #compareName(wanted: ComposedEntry): number {
    const { bytes } = this;
    const length = wanted.nameEnd - wanted.start;
    for (let i = NAME.length; i < length; i++) {
      const stored = bytes[this.#at + i] ?? 0;
      const sought = wanted.bytes[wanted.start + i] ?? 0;
      if (stored === sought) continue;
      if (stored === BACKSLASH) this.#at = -1;
      // The closing quote is the end of a name, and comes before any letter.
      if (stored === QUOTE) return -1;
      if (sought === QUOTE) return 1;
      return stored - sought;
    }
    return 0;
  }
}

function startsWith(bytes: Uint8Array, at: number, prefix: Uint8Array): boolean {
  for (let i = 0; i < prefix.length; i++) if (bytes[at + i] !== prefix[i]) return false;
  return true;
}

/** Digits, and letters of either case: ids are checked by whoever uses them. */
function isIdLetter(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a);
}

/** Behind the closing brace of the JSON object that starts at `start`, or the end of all when it has none. */
function entryEnd(bytes: Uint8Array, start: number): number {
  let depth = 0;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at++;
      while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
    } else if (byte === 0x7b) {
      depth++;
    } else if (byte === 0x7d && --depth === 0) {
      return at + 1;
    }
  }
  return bytes.length;
}
