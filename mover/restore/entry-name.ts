// The guard of names: what a snapshot calls an entry becomes one path component of the target, or is refused. Names are
// bytes; nothing here knows paths.

/** NAME_MAX of every Linux file system. */
const MAX_NAME_BYTES = 255;
/** V8 allocates longer arrays outside of its heap. */
const HEAP_ARRAY_BYTES = 64;
const SLASH = 0x2f;
const DOT = 0x2e;

/** The first bytes of names that a restore gives to what is not finished; left-overs of earlier runs are removed. */
export const TEMPORARY_PREFIX = '.windlass-restore-';

const utf8 = new TextEncoder();

/**
 * HOT. The bytes of a name. Short ASCII names, nearly all there are, become arrays that live in the heap of JavaScript; the
 * encoder's have memory of their own, which costs more to free than the rest of planning a file.
 */
export function encodeName(text: string): Uint8Array {
  const { length } = text;
  if (length > HEAP_ARRAY_BYTES) return utf8.encode(text);
  const name = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return utf8.encode(text);
    name[i] = code;
  }
  return name;
}

/** Why `name` cannot be a path component, or undefined when it can. */
export function nameProblem(name: Uint8Array): string | undefined {
  if (name.length === 0) return 'it is empty';
  if (name.length > MAX_NAME_BYTES) return `it has ${name.length} bytes`;
  if (name[0] === DOT && (name.length === 1 || (name.length === 2 && name[1] === DOT))) return 'it is a way upward';
  for (let i = 0; i < name.length; i++) {
    if (name[i] === SLASH) return 'it contains a slash';
    if (name[i] === 0) return 'it contains a NUL';
  }
  return undefined;
}

/** Names of one directory as strings that are equal exactly when the bytes are. */
export function nameKey(name: Uint8Array): string {
  return Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString('latin1');
}

/** {@link nameKey} of a name whose text is known: for ASCII, nearly all there are, the text is the key. HOT. */
export function nameKeyOf(name: Uint8Array, text: string): string {
  return name.length === text.length ? text : nameKey(name);
}

/** `.windlass-restore-mf3x2-1f`: a name that no other run and no other number of this run gives. */
export function temporaryName(runId: string, number: number): string {
  return `${TEMPORARY_PREFIX}${runId}-${number.toString(36)}`;
}

export function isTemporaryKey(key: string): boolean {
  return key.startsWith(TEMPORARY_PREFIX);
}

/** Temporary names of rows: the window's number and the row make them unique among all lanes. */
export function temporaryNumber(windowNumber: number, row: number): number {
  return windowNumber * 0x10_0000 + row;
}

/** Temporary names of the main thread, above all numbers of rows. */
export class TemporaryNames {
  readonly runId: string;
  #next = 2 ** 52;

  constructor(runId: string) {
    this.runId = runId;
  }

  next(): Uint8Array {
    return Buffer.from(temporaryName(this.runId, this.#next++));
  }
}
