// Typed members of the format's JSON objects, read as Go reads them: names match in any case, null and absent are zero, and
// what is not known is kept for the next rewrite (repository format §0, pitfall 23).
import { isJsonObject, parseExactJson } from '../../base/go-json.ts';
import type { ExactJson, ExactJsonObject } from '../../base/go-json.ts';
import { WindlassError } from '../../base/errors.ts';

export function formatInvalid(what: string, cause?: unknown): WindlassError {
  return new WindlassError(`invalid repository format: ${what}`, { code: 'FORMAT_INVALID', cause });
}

/** The object that `bytes` are, in UTF-8; `FORMAT_INVALID` when they are anything else. */
export function parseObject(bytes: Uint8Array, what: string): ExactJsonObject {
  let value: ExactJson;
  try {
    value = parseExactJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw formatInvalid(`${what} is not JSON`, cause);
  }
  if (!isJsonObject(value)) throw formatInvalid(`${what} is not an object`);
  return value;
}

/** The member's value; an exact name wins over one in another case. Null counts as absent. */
export function member(object: ExactJsonObject, name: string): ExactJson | undefined {
  if (Object.hasOwn(object, name)) return object[name] ?? undefined;
  const lower = name.toLowerCase();
  const key = Object.keys(object).find((candidate) => candidate.toLowerCase() === lower);
  return key === undefined ? undefined : (object[key] ?? undefined);
}

export function stringMember(object: ExactJsonObject, name: string): string {
  const value = member(object, name) ?? '';
  if (typeof value !== 'string') throw formatInvalid(`${name} is not a string`);
  return value;
}

export function booleanMember(object: ExactJsonObject, name: string): boolean {
  const value = member(object, name) ?? false;
  if (typeof value !== 'boolean') throw formatInvalid(`${name} is not a boolean`);
  return value;
}

export function integerMember(object: ExactJsonObject, name: string): number {
  const value = member(object, name) ?? 0;
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw formatInvalid(`${name} is not an integer`);
  return value;
}

const MIN_INT64 = -(2n ** 63n);
const MAX_INT64 = 2n ** 63n - 1n;

/** A duration: integer nanoseconds, all 64 bits of them. */
export function durationNsMember(object: ExactJsonObject, name: string): bigint {
  const value = member(object, name) ?? 0;
  if (typeof value !== 'bigint' && !(typeof value === 'number' && Number.isInteger(value))) {
    throw formatInvalid(`${name} is not a duration`);
  }
  const ns = BigInt(value);
  if (ns < MIN_INT64 || ns > MAX_INT64) throw formatInvalid(`${name} is out of range`);
  return ns;
}

/** Standard base64, strictly; absent is empty. */
export function bytesMember(object: ExactJsonObject, name: string): Uint8Array {
  const text = stringMember(object, name);
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw formatInvalid(`${name} is not base64`);
  return Uint8Array.from(bytes);
}

export function objectMember(object: ExactJsonObject, name: string): ExactJsonObject {
  const value = member(object, name) ?? {};
  if (!isJsonObject(value)) throw formatInvalid(`${name} is not an object`);
  return value;
}

export function arrayMember(object: ExactJsonObject, name: string): readonly ExactJson[] {
  const value = member(object, name) ?? [];
  if (!Array.isArray(value)) throw formatInvalid(`${name} is not an array`);
  return value as readonly ExactJson[];
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** `known` members first and in their order, those undefined left out; then whatever `original` has beside them. */
export function withUnknownMembers(
  known: Readonly<Record<string, ExactJson | undefined>>,
  original: ExactJsonObject,
): ExactJsonObject {
  const names = new Set(Object.keys(known).map((name) => name.toLowerCase()));
  const unknown = Object.entries(original).filter(([name]) => !names.has(name.toLowerCase()));
  const present = Object.entries(known).filter(([, value]) => value !== undefined);
  // Not by spreading: a member called __proto__ must stay a member.
  return Object.fromEntries([...present, ...unknown]);
}
