// Policies: how a source is to be backed up and how long it is kept (snapshots §4.7). JSON in and out, exactly as kopia writes
// it; members of other versions and numbers past 2⁵³ survive. Which policies apply to a source is in effective-policy.ts.
import { WindlassError } from '../../base/errors.ts';
import {
  type ExactJson,
  type ExactJsonObject,
  encodeGoJson,
  isJsonObject,
  parseExactJson,
  quoteGoString,
} from '../../base/go-json.ts';
import { COMMAND_FIELDS, POLICY_FIELDS, type PolicyField } from './policy-schema.ts';
import type { RetentionLimits } from './retention.ts';

/** `bigint` past 2⁵³: `9223372036854775807` is a usual way to say "never". */
export type PolicyInt = number | bigint;

export interface RetentionPolicy extends RetentionLimits {
  readonly ignoreIdenticalSnapshots?: boolean;
}

export interface FilesPolicy {
  readonly ignore?: readonly string[];
  readonly noParentIgnore?: boolean;
  readonly ignoreDotFiles?: readonly string[];
  readonly noParentDotFiles?: boolean;
  readonly ignoreCacheDirs?: boolean;
  readonly maxFileSize?: PolicyInt;
  readonly oneFileSystem?: boolean;
}

export interface ErrorHandlingPolicy {
  readonly ignoreFileErrors?: boolean;
  readonly ignoreDirectoryErrors?: boolean;
  readonly ignoreUnknownTypes?: boolean;
}

export interface TimeOfDay {
  readonly hour: number;
  readonly min: number;
}

export interface SchedulingPolicy {
  readonly intervalSeconds?: PolicyInt;
  readonly timeOfDay?: readonly TimeOfDay[];
  readonly noParentTimeOfDay?: boolean;
  readonly manual?: boolean;
  readonly cron?: readonly string[];
  readonly runMissed?: boolean;
}

export interface CompressionPolicy {
  readonly compressorName?: string;
  readonly onlyCompress?: readonly string[];
  readonly noParentOnlyCompress?: boolean;
  readonly neverCompress?: readonly string[];
  readonly noParentNeverCompress?: boolean;
  readonly minSize?: PolicyInt;
  readonly maxSize?: PolicyInt;
}

export interface ActionCommand {
  readonly path?: string;
  readonly args?: readonly string[];
  readonly script?: string;
  readonly timeout?: PolicyInt;
  readonly mode?: string;
}

export interface ActionsPolicy {
  readonly beforeFolder?: ActionCommand;
  readonly afterFolder?: ActionCommand;
  readonly beforeSnapshotRoot?: ActionCommand;
  readonly afterSnapshotRoot?: ActionCommand;
}

export interface LoggingPolicy {
  readonly directories?: { readonly snapshotted?: number; readonly ignored?: number };
  readonly entries?: {
    readonly snapshotted?: number;
    readonly ignored?: number;
    readonly cacheHit?: number;
    readonly cacheMiss?: number;
  };
}

export interface UploadPolicy {
  readonly maxParallelSnapshots?: number;
  readonly maxParallelFileReads?: number;
  readonly parallelUploadAboveSize?: PolicyInt;
}

export interface Policy {
  readonly retention?: RetentionPolicy;
  readonly files?: FilesPolicy;
  readonly errorHandling?: ErrorHandlingPolicy;
  readonly scheduling?: SchedulingPolicy;
  readonly compression?: CompressionPolicy;
  readonly metadataCompression?: { readonly compressorName?: string };
  readonly splitter?: { readonly algorithm?: string };
  readonly actions?: ActionsPolicy;
  readonly osSnapshots?: { readonly volumeShadowCopy?: { readonly enable?: number } };
  readonly logging?: LoggingPolicy;
  readonly upload?: UploadPolicy;
  readonly noParent?: boolean;
}

/** What kopia's command line stores as the global policy of a new repository, and what applies without one. */
export const DEFAULT_POLICY: Policy = {
  retention: {
    keepLatest: 10,
    keepHourly: 48,
    keepDaily: 7,
    keepWeekly: 4,
    keepMonthly: 24,
    keepAnnual: 3,
    ignoreIdenticalSnapshots: false,
  },
  files: { ignoreDotFiles: ['.kopiaignore'] },
  errorHandling: { ignoreFileErrors: false, ignoreDirectoryErrors: false, ignoreUnknownTypes: true },
  scheduling: { runMissed: true },
  compression: { compressorName: 'none' },
  metadataCompression: { compressorName: 'zstd-fastest' },
  splitter: {},
  actions: {},
  osSnapshots: { volumeShadowCopy: { enable: 0 } },
  logging: {
    directories: { snapshotted: 5, ignored: 5 },
    entries: { snapshotted: 0, ignored: 5, cacheHit: 0, cacheMiss: 0 },
  },
  upload: { maxParallelSnapshots: 1, parallelUploadAboveSize: 2 ** 31 },
};

/** The same policy as a JSON tree; the typed view has no members that JSON lacks. */
export function policyTree(policy: Policy): ExactJsonObject {
  return policy as ExactJsonObject;
}

/** The policy's JSON: members in kopia's order, those of other versions last. */
export function encodePolicy(policy: Policy): string {
  return encodeStruct(policyTree(policy), POLICY_FIELDS);
}

function encodeStruct(value: ExactJsonObject, fields: readonly PolicyField[]): string {
  const members: string[] = [];
  for (const field of fields) {
    const text = encodeField(value[field.name], field);
    if (text !== undefined) members.push(`"${field.name}":${text}`);
  }
  const known = new Set(fields.map(({ name }) => name));
  for (const [name, member] of Object.entries(value)) {
    if (!known.has(name) && member !== undefined) members.push(`${quoteGoString(name)}:${encodeGoJson(member)}`);
  }
  return `{${members.join(',')}}`;
}

function encodeField(value: ExactJson | undefined, field: PolicyField): string | undefined {
  if (field.kind === 'struct') return encodeStruct(isJsonObject(value) ? value : {}, field.fields ?? []);
  if (isUnset(value, field)) return undefined;
  if (field.kind === 'command') return encodeStruct(isJsonObject(value) ? value : {}, COMMAND_FIELDS);
  return encodeGoJson(value ?? null);
}

/** Whether the member says nothing, so that it is not written and a more general policy decides. */
export function isUnset(value: ExactJson | undefined, { kind }: Pick<PolicyField, 'kind'>): boolean {
  if (value === undefined || value === null) return true;
  if (kind === 'int') return value === 0 || value === 0n;
  if (kind === 'bool') return value === false;
  if (kind === 'string') return value === '';
  return (kind === 'strings' || kind === 'timesOfDay') && Array.isArray(value) && value.length === 0;
}

/** `POLICY_INVALID` when a member has a type that kopia could not decode. */
export function parsePolicy(json: string): Policy {
  let tree: ExactJson;
  try {
    tree = parseExactJson(json);
  } catch (cause) {
    throw new WindlassError('policy is not valid JSON', { code: 'POLICY_INVALID', cause });
  }
  if (!isJsonObject(tree)) throw new WindlassError('policy is not a JSON object', { code: 'POLICY_INVALID' });
  checkStruct(tree, POLICY_FIELDS, '');
  // The check above has established the types that the interface claims.
  return tree as Policy;
}

function checkStruct(value: ExactJsonObject, fields: readonly PolicyField[], path: string): void {
  for (const field of fields) {
    const member = value[field.name];
    if (member === undefined) continue;
    const memberPath = path === '' ? field.name : `${path}.${field.name}`;
    if (member !== null && isOfKind(member, field, memberPath)) continue;
    throw new WindlassError(`policy member ${memberPath} is malformed`, {
      code: 'POLICY_INVALID',
      context: { member: memberPath },
    });
  }
}

function isOfKind(value: ExactJson, field: PolicyField, path: string): boolean {
  switch (field.kind) {
    case 'optionalInt':
    case 'int':
      return typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value));
    case 'optionalBool':
    case 'bool':
      return typeof value === 'boolean';
    case 'string':
      return typeof value === 'string';
    case 'strings':
      return Array.isArray(value) && value.every((item) => typeof item === 'string');
    case 'timesOfDay':
      return Array.isArray(value) && value.every(isTimeOfDay);
    case 'command':
    case 'struct':
      if (!isJsonObject(value)) return false;
      checkStruct(value, field.kind === 'command' ? COMMAND_FIELDS : (field.fields ?? []), path);
      return true;
  }
}

function isTimeOfDay(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { hour, min } = value as { hour?: unknown; min?: unknown };
  return Number.isInteger(hour) && Number.isInteger(min);
}
