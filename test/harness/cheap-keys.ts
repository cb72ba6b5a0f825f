// A password derivation that costs nothing, for tests that open many repositories. It reaches production code only as an
// explicit parameter, and its name is refused by the real derivation.
import { deriveFormatKey, hkdfSha256, KEY_BYTES } from '../../repo-format/crypto/key-derivation.ts';
import type { DeriveFormatKey } from '../../repo-format/crypto/key-derivation.ts';

/** Pass as `keyAlgo` when creating, with `deriveKey: cheapKeys` among the deps. */
export const CHEAP_KEY_ALGORITHM = 'testing-only-insecure';

export const cheapKeys: DeriveFormatKey = async (algorithm, password, salt) =>
  algorithm === CHEAP_KEY_ALGORITHM
    ? hkdfSha256(Buffer.from(password, 'utf8'), salt, 'cheap', KEY_BYTES)
    : await deriveFormatKey(algorithm, password, salt);
