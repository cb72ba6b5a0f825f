// Every key of a repository, from the password down (repository format §1.6, §2.2, §2.3, §3.1). Parameters are fixed by
// the names of the format: a stored blob chooses a name, never a cost.
import { createHmac, hkdfSync, pbkdf2, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { WindlassError } from '../../base/errors.ts';

export const KEY_BYTES = 32;
export const DEFAULT_KEY_ALGORITHM = 'scrypt-65536-8-1';

const MIN_SALT_BYTES = 16;
const SCRYPT_COST = { N: 65_536, r: 8, p: 1 } as const;
// 128·N·r is what scrypt needs; Node's default limit of 32 MiB would refuse it.
const SCRYPT_MAX_MEMORY = 128 * SCRYPT_COST.N * SCRYPT_COST.r + 1024 * 1024;
const PBKDF2_ITERATIONS = 600_000;

/** Turns a password into the format key: the one slow step of opening a repository. */
export type DeriveFormatKey = (algorithm: string, password: string, salt: Uint8Array) => Promise<Uint8Array>;

const scryptAsync = promisify<Buffer, Uint8Array, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(
  scrypt,
);
const pbkdf2Async = promisify(pbkdf2);

const ALGORITHMS: Readonly<Record<string, (password: Buffer, salt: Uint8Array) => Promise<Buffer>>> = {
  [DEFAULT_KEY_ALGORITHM]: (password, salt) =>
    scryptAsync(password, salt, KEY_BYTES, { ...SCRYPT_COST, maxmem: SCRYPT_MAX_MEMORY }),
  'pbkdf2-sha256-600000': (password, salt) => pbkdf2Async(password, salt, PBKDF2_ITERATIONS, KEY_BYTES, 'sha256'),
};

/** Names of the password algorithms of the format. */
export const KEY_ALGORITHMS: readonly string[] = Object.keys(ALGORITHMS);

/** The format key of a password. The password is its UTF-8 bytes as they are: nothing is trimmed or normalised. */
export const deriveFormatKey: DeriveFormatKey = async (algorithm, password, salt) => {
  const derive = Object.hasOwn(ALGORITHMS, algorithm) ? ALGORITHMS[algorithm] : undefined;
  if (derive === undefined) {
    throw new WindlassError(`password algorithm ${algorithm} is not supported`, {
      code: 'FORMAT_UNSUPPORTED',
      context: { keyAlgo: algorithm },
    });
  }
  if (salt.length < MIN_SALT_BYTES) {
    throw new WindlassError('the repository id is too short to derive a key from', {
      code: 'FORMAT_INVALID',
      context: { saltBytes: salt.length },
    });
  }
  return new Uint8Array(await derive(Buffer.from(password, 'utf8'), salt));
};

/** RFC 5869 with SHA-256. */
export function hkdfSha256(inputKey: Uint8Array, salt: Uint8Array | string, info: string, length: number): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', inputKey, salt, info, length));
}

export function hmacSha256(key: Uint8Array | string, message: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac('sha256', key).update(message).digest());
}

/** Key and additional data that seal the repository's configuration and `kopia.blobcfg`. */
export function deriveFormatSealing(formatKey: Uint8Array, uniqueId: Uint8Array): { key: Uint8Array; aad: Uint8Array } {
  return {
    key: hkdfSha256(formatKey, uniqueId, 'AES', KEY_BYTES),
    aad: hkdfSha256(formatKey, uniqueId, 'CHECKSUM', KEY_BYTES),
  };
}

/** The root of all content keys. Here the purpose is the salt, unlike everywhere else in the format. */
export function deriveContentRootKey(masterKey: Uint8Array): Uint8Array {
  return hkdfSha256(masterKey, 'encryption', '', KEY_BYTES);
}

/** The key of `kopia.maintenance`. `base` is the master key where the password can change, else the format key. */
export function deriveMaintenanceKey(base: Uint8Array, uniqueId: Uint8Array): Uint8Array {
  return hkdfSha256(base, uniqueId, 'maintenance schedule', KEY_BYTES);
}
