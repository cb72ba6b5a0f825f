// JSON text exactly as Go's encoding/json writes it (snapshots §0), and reading that loses no digit of a 64-bit number.
import { WindlassError } from './errors.ts';

/** A parsed JSON value in which integers outside ±(2⁵³−1) are `bigint`. */
export type ExactJson =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly ExactJson[]
  | { readonly [member: string]: ExactJson | undefined };

export type ExactJsonObject = { readonly [member: string]: ExactJson | undefined };

// Deeper nesting than any document of the format has; keeps hostile input from exhausting the stack.
const MAX_DEPTH = 200;

// Every character Go escapes, and surrogates, which may stand alone (a byte that is not UTF-8 has no other form here).
// The class names control characters on purpose.
// eslint-disable-next-line no-control-regex
const NEEDS_ESCAPE = /[\u0000-\u001f"\\<>&\u2028\u2029\ud800-\udfff]/;

const SHORT_ESCAPES: Readonly<Record<number, string>> = {
  0x08: '\\b',
  0x09: '\\t',
  0x0a: '\\n',
  0x0c: '\\f',
  0x0d: '\\r',
  0x22: '\\"',
  0x5c: '\\\\',
};

/** HOT: called once a name. The quoted form of `text`; a lone surrogate becomes `\ufffd`. */
export function quoteGoString(text: string): string {
  return NEEDS_ESCAPE.test(text) ? quoteSlowly(text) : `"${text}"`;
}

function quoteSlowly(text: string): string {
  let result = '"';
  let plainFrom = 0;
  for (let i = 0; i < text.length; i++) {
    const escape = escapeAt(text, i);
    if (escape === undefined) continue;
    result += text.slice(plainFrom, i) + escape;
    plainFrom = i + 1;
  }
  return `${result}${text.slice(plainFrom)}"`;
}

function escapeAt(text: string, index: number): string | undefined {
  const unit = text.charCodeAt(index);
  if (unit < 0x20 || unit === 0x22 || unit === 0x5c) return SHORT_ESCAPES[unit] ?? unicodeEscape(unit);
  if (unit === 0x3c || unit === 0x3e || unit === 0x26 || unit === 0x2028 || unit === 0x2029) return unicodeEscape(unit);
  if (unit < 0xd800 || unit > 0xdfff) return undefined;
  const paired =
    unit < 0xdc00
      ? isBetween(text.charCodeAt(index + 1), 0xdc00, 0xdfff)
      : isBetween(text.charCodeAt(index - 1), 0xd800, 0xdbff);
  return paired ? undefined : '\\ufffd';
}

function isBetween(unit: number, low: number, high: number): boolean {
  return unit >= low && unit <= high;
}

function unicodeEscape(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`;
}

/** Orders strings as Go orders map keys and names: by their UTF-8 bytes, not by UTF-16 code units. */
export function compareUtf8(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left === right) continue;
    // Surrogates stand for code points above U+FFFF, so they sort after U+E000…U+FFFF.
    const leftRank = isBetween(left, 0xd800, 0xdfff) ? left + 0x10000 : left;
    const rightRank = isBetween(right, 0xd800, 0xdfff) ? right + 0x10000 : right;
    return leftRank - rightRank;
  }
  return a.length - b.length;
}

/** A string map with its members sorted by key, as Go writes maps; `null` for an absent one. */
export function encodeStringMap(map: Readonly<Record<string, string>> | null | undefined): string {
  if (map === null || map === undefined) return 'null';
  const members = Object.keys(map)
    .sort(compareUtf8)
    .map((key) => `${quoteGoString(key)}:${quoteGoString(map[key] ?? '')}`);
  return `{${members.join(',')}}`;
}

/** Compact JSON with Go's escapes; members in their own order, those set to undefined left out. */
export function encodeGoJson(value: ExactJson, depth = 0): string {
  if (depth > MAX_DEPTH) throw new WindlassError('JSON value nests too deeply', { code: 'JSON_INVALID' });
  if (value === null) return 'null';
  switch (typeof value) {
    case 'boolean':
    case 'bigint':
      return String(value);
    case 'number':
      return encodeNumber(value);
    case 'string':
      return quoteGoString(value);
    default:
      break;
  }
  if (isArray(value)) return `[${value.map((item) => encodeGoJson(item, depth + 1)).join(',')}]`;
  const members: string[] = [];
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) members.push(`${quoteGoString(key)}:${encodeGoJson(member, depth + 1)}`);
  }
  return `{${members.join(',')}}`;
}

function encodeNumber(value: number): string {
  if (!Number.isFinite(value)) throw new WindlassError('number has no JSON form', { code: 'JSON_INVALID' });
  return Object.is(value, -0) ? '-0' : String(value);
}

function isArray(value: ExactJson): value is readonly ExactJson[] {
  return Array.isArray(value);
}

/** True for an object, not for an array or null. */
export function isJsonObject(value: ExactJson | undefined): value is ExactJsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `JSON.parse` that keeps every digit of large integers (as `bigint`). `JSON_INVALID` when it is not JSON. */
export function parseExactJson(text: string): ExactJson {
  try {
    // The reviver's source text is in V8 since Node 21, but not yet in TypeScript's library.
    const reviver = (_key: string, value: unknown, context?: { source?: string }): unknown =>
      typeof value === 'number' && !Number.isSafeInteger(value) ? exactNumber(value, context?.source) : value;
    return JSON.parse(text, reviver as (key: string, value: unknown) => unknown) as ExactJson;
  } catch (cause) {
    throw new WindlassError('text is not valid JSON', { code: 'JSON_INVALID', cause });
  }
}

function exactNumber(value: number, source: string | undefined): number | bigint {
  // 32 digits are more than any integer of the format; longer ones are not worth quadratic conversion time.
  return source !== undefined && source.length <= 32 && /^-?[0-9]+$/.test(source) ? BigInt(source) : value;
}

/** One member of a JSON object with its value as it was written. */
export interface RawMember {
  readonly key: string;
  readonly raw: string;
}

/** The members of the object that is all of `text`, values untouched; `JSON_INVALID` when `text` is anything else. */
export function splitJsonObject(text: string): RawMember[] {
  const spans = splitContainer(text, '{', '}');
  return spans.map((span) => {
    const keyEnd = skipString(span, 0);
    const key: unknown = JSON.parse(span.slice(0, keyEnd));
    const colon = span.indexOf(':', keyEnd);
    if (typeof key !== 'string') throw new WindlassError('object member has no name', { code: 'JSON_INVALID' });
    return { key, raw: span.slice(colon + 1).trim() };
  });
}

/** The elements of the array that is all of `text`, as written. */
export function splitJsonArray(text: string): string[] {
  return splitContainer(text, '[', ']');
}

function splitContainer(text: string, open: string, close: string): string[] {
  const body = text.trim();
  if (!body.startsWith(open) || !body.endsWith(close)) {
    throw new WindlassError(`expected a JSON value within ${open} and ${close}`, { code: 'JSON_INVALID' });
  }
  try {
    // From here on the text is known to be well formed, so finding the borders needs no checks.
    JSON.parse(body);
  } catch (cause) {
    throw new WindlassError('text is not valid JSON', { code: 'JSON_INVALID', cause });
  }
  const parts: string[] = [];
  let depth = 0;
  let from = 1;
  for (let i = 1; i < body.length - 1; i++) {
    const unit = body.charCodeAt(i);
    if (unit === 0x22) i = skipString(body, i) - 1;
    else if (unit === 0x7b || unit === 0x5b) depth++;
    else if (unit === 0x7d || unit === 0x5d) depth--;
    else if (unit === 0x2c && depth === 0) {
      parts.push(body.slice(from, i).trim());
      from = i + 1;
    }
  }
  const last = body.slice(from, -1).trim();
  if (last !== '') parts.push(last);
  return parts;
}

/** Index after the closing quote of the string that starts at `start`. */
function skipString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0x5c) i++;
    else if (unit === 0x22) return i + 1;
  }
  return text.length;
}
