// The decrypted configuration of a repository: algorithms, keys and parameters (repository format §2.4). A rewrite keeps
// every member it does not change exactly as it was, unknown ones and the last digit of durations included.
import { WindlassError } from '../../base/errors.ts';
import { encodeGoJson, isJsonObject } from '../../base/go-json.ts';
import type { ExactJson, ExactJsonObject } from '../../base/go-json.ts';
import { createContentCipher } from '../crypto/content-cipher.ts';
import type { CipherSpec } from '../crypto/content-cipher.ts';
import { createKeyedHash } from '../hash/keyed-hash.ts';
import { encodeEpochParameters, parseEpochParameters } from './epoch-parameters.ts';
import type { EpochParameters } from './epoch-parameters.ts';
import {
  booleanMember,
  bytesMember,
  formatInvalid,
  integerMember,
  member,
  objectMember,
  parseObject,
  stringMember,
  toBase64,
  withUnknownMembers,
} from './json-members.ts';
import { parseRequiredFeatures } from './required-features.ts';
import type { RequiredFeature } from './required-features.ts';
import { parseUpgradeLock } from './upgrade-lock.ts';
import type { UpgradeLock } from './upgrade-lock.ts';

export type FormatVersion = 1 | 2 | 3;

export interface RepositoryConfig {
  /** What a client must understand. Behaviour follows the single flags below: upgraded repositories mix them. */
  readonly version: FormatVersion;
  readonly hash: string;
  readonly encryption: string;
  readonly splitter: string;
  /** Key of the content hash; may be empty. */
  readonly secret: Uint8Array;
  readonly masterKey: Uint8Array;
  readonly maxPackSizeBytes: number;
  /** The index version to write. */
  readonly indexVersion: 1 | 2;
  readonly epochParameters: EpochParameters;
  /** False also means: packs carry a replica of the format blob. */
  readonly enablePasswordChange: boolean;
  /** Empty = none. */
  readonly ecc: string;
  readonly eccOverheadPercent: number;
  readonly upgradeLock?: UpgradeLock;
  readonly requiredFeatures: readonly RequiredFeature[];
  /** The whole document as stored, `{"format": …}`. */
  readonly raw: ExactJsonObject;
}

const MIB = 1024 * 1024;
export const DEFAULT_MAX_PACK_SIZE_BYTES = 20 * MIB;
/** What a writer may set. */
export const MIN_PACK_SIZE_BYTES = 10 * MIB;
export const MAX_PACK_SIZE_BYTES = 120 * MIB;

/** Members other than the lock and the features, in writing order; undefined is left out. Those two only ever stay as stored. */
const MEMBERS: Readonly<
  Record<string, (config: RepositoryConfig, original: ExactJsonObject) => ExactJson | undefined>
> = {
  hash: (config) => config.hash || undefined,
  encryption: (config) => config.encryption || undefined,
  ecc: (config) => config.ecc || undefined,
  eccOverheadPercent: (config) => config.eccOverheadPercent || undefined,
  secret: (config) => toBase64(config.secret) || undefined,
  masterKey: (config) => toBase64(config.masterKey) || undefined,
  version: (config) => config.version,
  maxPackSize: (config) => config.maxPackSizeBytes,
  indexVersion: (config) => config.indexVersion,
  epochParameters: (config, original) =>
    encodeEpochParameters(config.epochParameters, objectMember(original, 'epochParameters')),
  enablePasswordChange: (config) => config.enablePasswordChange,
  splitter: (config) => config.splitter || undefined,
};

/** Reads the decrypted JSON. `FORMAT_INVALID` or `FORMAT_UNSUPPORTED` for what no client could use. */
export function parseRepositoryConfig(plaintext: Uint8Array): RepositoryConfig {
  const raw = parseObject(plaintext, 'the repository configuration');
  const config = configOf(raw);
  requireUsable(config);
  return config;
}

/** The JSON to seal. */
export function encodeRepositoryConfig(config: RepositoryConfig): Uint8Array {
  const original = objectMember(config.raw, 'format');
  const before = Object.keys(original).length === 0 ? undefined : configOf(config.raw);
  const known = Object.entries(MEMBERS).map(([name, encode]): [string, ExactJson | undefined] => {
    const value = encode(config, original);
    const stored = member(original, name);
    const unchanged = before !== undefined && sameJson(encode(before, original), value);
    return [name, unchanged && stored !== undefined ? stored : value];
  });
  const format = withUnknownMembers(Object.fromEntries(known), original);
  return new Uint8Array(Buffer.from(encodeGoJson(withUnknownMembers({ format }, config.raw)), 'utf8'));
}

/** Plain data from which any thread makes the repository's content cipher. */
export function cipherSpecOf(config: RepositoryConfig): CipherSpec {
  const { encryption, masterKey, ecc, eccOverheadPercent } = config;
  const corrected = ecc !== '' && eccOverheadPercent > 0;
  return {
    encryption,
    masterKey,
    ...(corrected ? { ecc: { algorithm: ecc, overheadPercent: eccOverheadPercent } } : {}),
  };
}

function sameJson(a: ExactJson | undefined, b: ExactJson | undefined): boolean {
  return a === undefined || b === undefined ? a === b : encodeGoJson(a) === encodeGoJson(b);
}

function configOf(raw: ExactJsonObject): RepositoryConfig {
  const format = member(raw, 'format');
  if (!isJsonObject(format)) throw formatInvalid('the repository configuration has no format');
  const lock = member(format, 'upgradeLock');
  if (lock !== undefined && !isJsonObject(lock)) throw formatInvalid('the upgrade lock is not an object');
  return {
    version: versionOf(integerMember(format, 'version')),
    hash: stringMember(format, 'hash'),
    encryption: stringMember(format, 'encryption'),
    splitter: stringMember(format, 'splitter'),
    secret: bytesMember(format, 'secret'),
    masterKey: bytesMember(format, 'masterKey'),
    maxPackSizeBytes: integerMember(format, 'maxPackSize') || DEFAULT_MAX_PACK_SIZE_BYTES,
    indexVersion: indexVersionOf(integerMember(format, 'indexVersion')),
    epochParameters: parseEpochParameters(objectMember(format, 'epochParameters')),
    enablePasswordChange: booleanMember(format, 'enablePasswordChange'),
    ecc: stringMember(format, 'ecc'),
    eccOverheadPercent: integerMember(format, 'eccOverheadPercent'),
    ...(lock === undefined ? {} : { upgradeLock: parseUpgradeLock(lock) }),
    requiredFeatures: parseRequiredFeatures(format),
    raw,
  };
}

function versionOf(version: number): FormatVersion {
  if (version === 1 || version === 2 || version === 3) return version;
  throw new WindlassError(`repository format version ${version} is not supported`, {
    code: 'FORMAT_UNSUPPORTED',
    context: { version },
  });
}

function indexVersionOf(version: number): 1 | 2 {
  if (version === 0 || version === 1) return 1;
  if (version === 2) return 2;
  throw new WindlassError(`index version ${version} is not supported`, {
    code: 'FORMAT_UNSUPPORTED',
    context: { indexVersion: version },
  });
}

/** Makes the hash and the cipher once: their names and keys must fit, and each knows its own rules. */
function requireUsable(config: RepositoryConfig): void {
  createKeyedHash(config.hash, config.secret);
  createContentCipher(cipherSpecOf(config));
  // Packs are held in memory. A writer stays within 120 MiB; far beyond is damage, or worse.
  if (config.maxPackSizeBytes < 1 || config.maxPackSizeBytes > 1024 * MIB) {
    throw formatInvalid(`the maximum pack size is ${config.maxPackSizeBytes} bytes`);
  }
}
