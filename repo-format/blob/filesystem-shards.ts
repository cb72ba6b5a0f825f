// The `.shards` file (repository format §1.3): parsed strictly, because a wrong layout hides every blob.
import { layoutInvalid } from './blob-errors.ts';
import { DEFAULT_MAX_NON_SHARDED_LENGTH } from './filesystem-layout.ts';
import type { LocalLayout } from './storage.ts';

export const SHARDS_FILE = '.shards';
/** Far above any real one; the file is read whole. */
export const MAX_SHARDS_FILE_BYTES = 64 * 1024;

export type ShardRules = Omit<LocalLayout, 'rootPath'>;

export function encodeShards(shards: readonly number[]): string {
  return `${JSON.stringify({ default: shards, maxNonShardedLength: DEFAULT_MAX_NON_SHARDED_LENGTH })}\n`;
}

/** `BLOB_LAYOUT_INVALID` when the text is not a layout. Absent fields are zero, as for Kopia. */
export function parseShards(text: string): ShardRules {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw layoutInvalid('not JSON', error);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw layoutInvalid('not an object');
  const members = new Map(Object.entries(json).map(([key, value]) => [key.toLowerCase(), value as unknown]));
  const maxNonShardedLength = members.get('maxnonshardedlength') ?? 0;
  if (typeof maxNonShardedLength !== 'number' || !Number.isSafeInteger(maxNonShardedLength)) {
    throw layoutInvalid('maxNonShardedLength is not an integer');
  }
  return {
    shards: parseSizes(members.get('default') ?? []),
    maxNonShardedLength,
    overrides: parseOverrides(members.get('overrides') ?? []),
  };
}

function parseSizes(value: unknown): number[] {
  if (!Array.isArray(value) || value.length > 64) throw layoutInvalid('shard sizes are not a short array');
  return value.map((size: unknown) => {
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 0 || size > 255) {
      throw layoutInvalid('a shard size is not a small integer');
    }
    return size;
  });
}

function parseOverrides(value: unknown): { prefix: string; shards: number[] }[] {
  if (!Array.isArray(value)) throw layoutInvalid('overrides are not an array');
  return value.map((override: unknown) => {
    if (typeof override !== 'object' || override === null) throw layoutInvalid('an override is not an object');
    const members = new Map(Object.entries(override).map(([key, member]) => [key.toLowerCase(), member as unknown]));
    const prefix = members.get('prefix') ?? '';
    if (typeof prefix !== 'string') throw layoutInvalid('the prefix of an override is not a string');
    return { prefix, shards: parseSizes(members.get('shards') ?? []) };
  });
}
