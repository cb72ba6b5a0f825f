// The entries of one directory object as bytes, written straight into memory that is used for one directory after another:
// a string for each entry would be half of what a walk leaves to the garbage collector. The bytes are those of
// `encodeEntry`, which serves whatever is out of the ordinary.
import { quoteGoString } from '../../base/go-json.ts';
import { clampToInt64Ns, fitsInt64Ns, formatTimestamp } from '../../base/go-time.ts';
import { modeMember } from './directory-entry.ts';
import { DIRECTORY_HEAD } from './directory-object.ts';
import { type EntryExtra, encodeEntryExtra, formatExactTime } from './extra.ts';

/** What an entry says but for its object; of a file or a symlink. */
export interface ComposedFields {
  readonly type: 'f' | 's';
  /** 07777 */
  readonly mode: number;
  readonly size: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanos: number;
  readonly uid: number;
  readonly gid: number;
}

/** Where the composed entry lies in its buffer, up to the first byte of the object id. Valid until the next call. */
export interface ComposedEntry {
  readonly bytes: Uint8Array;
  readonly start: number;
  /** Behind the closing quote of the name. */
  readonly nameEnd: number;
  readonly end: number;
  /** False when the name stands there with escapes, so that its bytes do not sort as the name does. */
  readonly isPlainName: boolean;
}

const FIRST_BYTES = 64 << 10;
/** All members of an entry with the longest numbers and id, without name and extra member. */
const MOST_FIXED_BYTES = 512;
/** `\u003c` for one character. */
const MOST_BYTES_A_UNIT = 6;
const SECONDS_PER_DAY = 86400;

const QUOTE = 0x22;
const COMMA = 0x2c;

/** ASCII that stands for itself in a Go string. */
const IS_PLAIN = Uint8Array.from({ length: 128 }, (_, code) => {
  const text = String.fromCharCode(code);
  return quoteGoString(text) === `"${text}"` ? 1 : 0;
});

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

const HEAD = ascii(`${DIRECTORY_HEAD}[`);
const NAME = ascii('{"name":"');
const TYPES = { f: ascii(',"type":"f"'), s: ascii(',"type":"s"') };
const SIZE = ascii(',"size":');
const MTIME = ascii(',"mtime":"');
const DAY_LENGTH = 'YYYY-MM-DDT'.length;

export class EntryBuffer {
  #bytes = Buffer.from(new ArrayBuffer(FIRST_BYTES));
  #length = 0;
  #isEmpty = true;
  readonly #composed = { bytes: this.#bytes as Uint8Array, start: 0, nameEnd: 0, end: 0, isPlainName: true };
  #exactTime: string | undefined;
  // Neighbours have much in common: the members made last are kept.
  #mode = -1;
  #modeBytes: Uint8Array = ascii('');
  #uid = -1;
  #gid = -1;
  #ownerBytes: Uint8Array = ascii('');
  #day = Number.NaN;
  #dayBytes: Uint8Array = ascii('');

  constructor() {
    this.begin();
  }

  /** Forgets everything: the next directory. */
  begin(): void {
    this.#length = put(this.#bytes, 0, HEAD);
    this.#isEmpty = true;
  }

  /** HOT. Writes an entry up to its object id; it counts once `commit` completes it, and is replaced by the next one otherwise. */
  compose(name: string, fields: ComposedFields): void {
    this.#ensure(name.length * MOST_BYTES_A_UNIT + MOST_FIXED_BYTES);
    const bytes = this.#bytes;
    let at = this.#length;
    if (!this.#isEmpty) bytes[at++] = COMMA;
    const composed = this.#composed;
    composed.bytes = bytes;
    composed.start = at;
    at = this.#putName(at, name);
    composed.nameEnd = at;
    at = put(bytes, at, TYPES[fields.type]);
    if (fields.mode !== this.#mode) {
      this.#mode = fields.mode;
      this.#modeBytes = ascii(modeMember(fields.mode));
    }
    at = put(bytes, at, this.#modeBytes);
    if (fields.size !== 0) at = putDecimal(bytes, put(bytes, at, SIZE), fields.size);
    at = this.#putTime(at, fields.mtimeSeconds, fields.mtimeNanos);
    if (fields.uid !== this.#uid || fields.gid !== this.#gid) this.#setOwner(fields.uid, fields.gid);
    composed.end = put(bytes, at, this.#ownerBytes);
  }

  /** What `compose` wrote last; the same record each time. */
  get composed(): ComposedEntry {
    return this.#composed;
  }

  /** HOT. Completes the composed entry. */
  commit(objectId: string, extra: EntryExtra | undefined): void {
    let at = this.#composed.end;
    // Room for an id is part of what `compose` asked for.
    const bytes = this.#bytes;
    for (let i = 0; i < objectId.length; i++) bytes[at++] = objectId.charCodeAt(i);
    bytes[at++] = QUOTE;
    this.#length = at;
    if (extra !== undefined || this.#exactTime !== undefined) {
      const text = encodeEntryExtra(extra, this.#exactTime);
      if (text !== '') this.#putText(`,${text}`);
    }
    this.#putText('}');
    this.#isEmpty = false;
  }

  /** The entries so far as they stand between other entries; '' when there are none. Begins anew. */
  takeText(): string {
    const text = this.#isEmpty ? '' : this.#bytes.toString('utf8', HEAD.length, this.#length);
    this.begin();
    return text;
  }

  /**
   * The directory object's plaintext with these entries and no others, when `tail` is what follows them
   * (`directoryTail`). A view that is valid until the next entry; the entries are forgotten.
   */
  finish(tail: string): Uint8Array {
    if (this.#isEmpty) {
      this.#length = HEAD.length - 1;
      this.#putText(`null${tail}`);
    } else {
      this.#putText(`]${tail}`);
    }
    const object = this.#bytes.subarray(0, this.#length);
    this.#length = HEAD.length;
    this.#isEmpty = true;
    return object;
  }

  #putName(start: number, name: string): number {
    const bytes = this.#bytes;
    this.#composed.isPlainName = true;
    let at = put(bytes, start, NAME);
    for (let i = 0; i < name.length; i++) {
      const code = name.charCodeAt(i);
      if (code > 0x7f || IS_PLAIN[code] === 0) return this.#putQuotedName(start + NAME.length - 1, name);
      bytes[at++] = code;
    }
    bytes[at++] = QUOTE;
    return at;
  }

  #putQuotedName(at: number, name: string): number {
    const quoted = quoteGoString(name);
    this.#composed.isPlainName = !quoted.includes('\\');
    return at + this.#bytes.write(quoted, at, 'utf8');
  }

  #putTime(start: number, fullSeconds: number, fullNanos: number): number {
    const bytes = this.#bytes;
    let seconds = fullSeconds;
    let nanos = fullNanos;
    this.#exactTime = undefined;
    if (!fitsInt64Ns(seconds, nanos)) {
      this.#exactTime = formatExactTime(seconds, nanos);
      ({ seconds, nanos } = clampToInt64Ns(seconds, nanos));
    }
    if (seconds === 0 && nanos === 0) return start;
    let at = put(bytes, start, MTIME);
    const day = Math.floor(seconds / SECONDS_PER_DAY);
    if (day !== this.#day) {
      this.#day = day;
      this.#dayBytes = ascii(formatTimestamp(day * SECONDS_PER_DAY, 0).slice(0, DAY_LENGTH));
    }
    at = put(bytes, at, this.#dayBytes);
    const rest = seconds - day * SECONDS_PER_DAY;
    at = putTwoDigits(bytes, at, (rest / 3600) | 0);
    bytes[at++] = 0x3a;
    at = putTwoDigits(bytes, at, ((rest / 60) | 0) % 60);
    bytes[at++] = 0x3a;
    at = putTwoDigits(bytes, at, rest % 60);
    if (nanos !== 0) at = putFraction(bytes, at, nanos);
    bytes[at++] = 0x5a;
    bytes[at++] = QUOTE;
    return at;
  }

  #setOwner(uid: number, gid: number): void {
    this.#uid = uid;
    this.#gid = gid;
    this.#ownerBytes = ascii(`${uid === 0 ? '' : `,"uid":${uid}`}${gid === 0 ? '' : `,"gid":${gid}`},"obj":"`);
  }

  #putText(text: string): void {
    if (text.length === 1) {
      this.#ensure(1);
      this.#bytes[this.#length++] = text.charCodeAt(0);
      return;
    }
    this.#ensure(text.length * 3);
    this.#length += this.#bytes.write(text, this.#length, 'utf8');
  }

  #ensure(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    let size = this.#bytes.length;
    while (size < needed) size *= 2;
    const grown = Buffer.from(new ArrayBuffer(size));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

function put(bytes: Uint8Array, start: number, from: Uint8Array): number {
  let at = start;
  for (let i = 0; i < from.length; i++) bytes[at++] = from[i] as number;
  return at;
}

function putTwoDigits(bytes: Uint8Array, at: number, value: number): number {
  const tens = (value / 10) | 0;
  bytes[at] = 0x30 + tens;
  bytes[at + 1] = 0x30 + value - tens * 10;
  return at + 2;
}

function putDecimal(bytes: Uint8Array, start: number, value: number): number {
  if (value > 0x7fff_ffff) return put(bytes, start, ascii(String(value)));
  let end = start + 1;
  for (let left = (value / 10) | 0; left > 0; left = (left / 10) | 0) end++;
  let left = value;
  for (let at = end - 1; at >= start; at--) {
    const tens = (left / 10) | 0;
    bytes[at] = 0x30 + left - tens * 10;
    left = tens;
  }
  return end;
}

/** `.5`, `.000000001`: nine digits without trailing zeros. */
function putFraction(bytes: Uint8Array, start: number, nanos: number): number {
  bytes[start] = 0x2e;
  let end = start + 10;
  let left = nanos;
  for (let at = end - 1; at > start; at--) {
    const tens = (left / 10) | 0;
    bytes[at] = 0x30 + left - tens * 10;
    left = tens;
  }
  while (bytes[end - 1] === 0x30) end--;
  return end;
}
