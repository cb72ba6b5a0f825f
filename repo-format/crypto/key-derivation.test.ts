import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../base/hex.ts';
import {
  deriveContentRootKey,
  deriveFormatKey,
  deriveFormatSealing,
  deriveMaintenanceKey,
  hkdfSha256,
  KEY_ALGORITHMS,
} from './key-derivation.ts';

const ascending = (start: number, length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => start + i);
const UNIQUE_ID = ascending(0x00, 32);
const MASTER_KEY = ascending(0x40, 32);

// Repository format §11.1. A change here would lock everyone out of their repositories.
const FROM_PASSWORD = {
  'scrypt-65536-8-1': {
    key: '25fd2066a1e282222c38b09896591821c0bee400ce9916e399f28c9dadf7f742',
    aes: 'de65ccbc09d6ca02978c6cc33b41266aee55e1017db122c4f0749536f693b20a',
    checksum: 'a16fb471c12527295ea343dd3fe694659cee4dd4889e3e597e4ccca6cbf6d2bd',
  },
  'pbkdf2-sha256-600000': {
    key: 'aa0fd29fb8abd58ef29697f658c7431630191f91b4ab29746d008630796e7993',
    aes: '1187e4de147f5b21dc4b19b20f78d32c2bf2d3ecf875c43ebdbb53bb65d81e2f',
    checksum: '87266f7782e36e1d9aafb485b1081de31f8a209aea0dc22268880fdef1918f5b',
  },
};

for (const [algorithm, vector] of Object.entries(FROM_PASSWORD)) {
  test(`${algorithm} gives the format's keys`, async () => {
    const key = await deriveFormatKey(algorithm, 'kopia-spec-test', UNIQUE_ID);
    assert.equal(toHex(key), vector.key);
    const sealing = deriveFormatSealing(key, UNIQUE_ID);
    assert.equal(toHex(sealing.key), vector.aes);
    assert.equal(toHex(sealing.aad), vector.checksum);
  });
}

test('every password algorithm has a vector', () => {
  assert.deepEqual(KEY_ALGORITHMS, Object.keys(FROM_PASSWORD));
});

test('content root, maintenance key and HKDF match their vectors', () => {
  assert.equal(
    toHex(deriveContentRootKey(MASTER_KEY)),
    'efffeb0407ce08e6fca4220165c06bf4508d6ee17538f6a69f8df8149a6067d2',
  );
  assert.equal(
    toHex(deriveMaintenanceKey(MASTER_KEY, UNIQUE_ID)),
    'df3abcb527a008fb8f3b8fe556f35133a44bdfe1f801920f6875b2ad1686b17d',
  );
  assert.equal(
    toHex(hkdfSha256(Buffer.from('ABCDEFGHIJKLMNOP'), Buffer.from('0123456789012345'), 'the-test-purpose', 32)),
    '828769ee8969bc37f11dbaa32838f8db6c19daa6e3ae5f5eed2da2d94d8faddb',
  );
});

test('a stored blob cannot choose its own cost', async () => {
  const names = ['', 'scrypt-1048576-8-1', 'SCRYPT-65536-8-1', 'testing-only-insecure', '__proto__', 'toString'];
  for (const name of names) {
    await assert.rejects(deriveFormatKey(name, 'x', UNIQUE_ID), { code: 'FORMAT_UNSUPPORTED' }, name);
  }
});

test('a short salt is refused', async () => {
  await assert.rejects(deriveFormatKey('pbkdf2-sha256-600000', 'x', ascending(0, 15)), { code: 'FORMAT_INVALID' });
});

test('the password is its bytes: neither trimmed nor normalised', async () => {
  const variants = ['\u00e9', 'e\u0301', '\u00e9 '];
  const keys = await Promise.all(variants.map((password) => deriveFormatKey('scrypt-65536-8-1', password, UNIQUE_ID)));
  assert.equal(new Set(keys.map(toHex)).size, 3);
});
