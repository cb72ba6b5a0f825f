// Raw file names as strings: valid UTF-8 stays itself, any other byte B becomes the lone surrogate U+DC00+B, which no
// valid name contains. So a literal tree and a description can name every file there can be.

const encoder = new TextEncoder();

/** A name from text and byte values: `rawName('caf', 0xe9)`. */
export function rawName(...parts: readonly (string | number)[]): string {
  return parts.map((part) => (typeof part === 'string' ? part : String.fromCharCode(0xdc00 + part))).join('');
}

/** The bytes of a name or path written as above. */
export function nameBytes(name: string): Uint8Array {
  const bytes: number[] = [];
  for (const char of name) {
    const code = char.codePointAt(0) ?? 0;
    if (code >= 0xdc80 && code <= 0xdcff) bytes.push(code - 0xdc00);
    else bytes.push(...encoder.encode(char));
  }
  return Uint8Array.from(bytes);
}

/** The inverse of {@link nameBytes}. */
export function nameText(bytes: Uint8Array): string {
  const text = new TextDecoder('utf-8', { ignoreBOM: true });
  const whole = text.decode(bytes);
  if (!whole.includes('\ufffd')) return whole;
  let out = '';
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    out += length === 0 ? rawName(bytes[at] ?? 0) : text.decode(bytes.subarray(at, at + length));
    at += Math.max(1, length);
  }
  return out;
}

/** The length of the valid UTF-8 sequence at `at`, or 0. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  for (let length = 1; length <= 4 && at + length <= bytes.length; length++) {
    try {
      strict.decode(bytes.subarray(at, at + length));
      return length;
    } catch {
      // Not complete or not valid: try one byte more.
    }
  }
  return 0;
}
