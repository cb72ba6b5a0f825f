import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import {
  VECTOR_FORMAT_KEY,
  VECTOR_MASTER_KEY,
  VECTOR_SECRET,
  VECTOR_UNIQUE_ID,
} from '../../test/harness/format-vectors.ts';
import { DEFAULT_EPOCH_PARAMETERS, validateEpochParameters } from './epoch-parameters.ts';
import { openFormatPart } from './format-blob.ts';
import { cipherSpecOf, encodeRepositoryConfig, parseRepositoryConfig } from './repository-config.ts';

// Repository format §11.1: what kopia wrote as encryptedBlockFormat.
const SEALED_BY_KOPIA =
  'FWiNy+73kDF2WpwgE1iYFEaUlJswgYWhUP3BqtqI+MvIU3O4bVu9nxn35jgtLPhbL1V9oSELve1mYmMBtCs/DrXdgSV+goCAOY9r+ohUb3KOZ+/E' +
  'X9PcLtbgRBlvtIgb3LuDj8uHT9B7yY2ukF2tiJX16g44jB6+k1KNAvlL7smS1l7IujQUgT+s5ZUkBP19jqyIxfW7lMkw/3AJpgEdCs5Rf+o/zehF' +
  '9HgSU/H0uPQ8NdPMXMIvDPKVn/ECyT0UHYM72syJRtbEabwG9s2upqPBsZLiv3N7m0fggNFugPijFm6YTNNHQ0yeX6RNbsPJSv+soDu9Ywv20tLC' +
  'JdVVWN9adUchU52gk/jWOeTGMlqNFFfHI/rQrB7JRpidz7Rit6qqTZ3lc2GixAaFkp/kNQTYHtjSuMGwcRFbuO217Ji/siVzwJ0h97yCNn6tp3ln' +
  'sXgxo2mgS/hNGke79sak6e/R0BRXFb2c8EauDxkZ+qtE6LMZ6lBiWMY6uO1MyoehEMOJP291n0INjnUPeGAS3vEqcTADzi5fFndKqFjnloeIfC07' +
  'WxB1XAOX6itQ5zso0G6WWy06pEQb0069zCzFay+gL7HqbzXvwkWVud91xZ/ril77E/Fld1+Wx/STN9wn/8nzaZgicXGEV469sDcnhRIZUPDWGkD1' +
  '6AZlZ0i6Zs7VMLOQtTGcA2jwMy6ZGD5Ga6jzK6PjLBk0ME1ACvyGBbNrPpTeeK90C0igtummfB2p/5ke5TMniGrmdLbLjDM+P1GXF1zc1EN6Ktc7' +
  'SEXyAmRyynoOgW++09bd7QOocA==';

const opened = openFormatPart(Buffer.from(SEALED_BY_KOPIA, 'base64'), VECTOR_FORMAT_KEY, VECTOR_UNIQUE_ID);
assert.ok(opened !== undefined);
const PLAINTEXT: Uint8Array = opened;
const STORED = Buffer.from(PLAINTEXT).toString();
const parseText = (text: string): ReturnType<typeof parseRepositoryConfig> =>
  parseRepositoryConfig(new Uint8Array(Buffer.from(text)));
const encodeText = (config: Parameters<typeof encodeRepositoryConfig>[0]): string =>
  Buffer.from(encodeRepositoryConfig(config)).toString();

test('the configuration kopia sealed reads as it should', () => {
  assert.equal(PLAINTEXT.length, 579);
  assert.equal(
    createHash('sha256').update(PLAINTEXT).digest('hex'),
    'a1fd3523e038822ffaf0333742dd72185e35909d4a848aa674ad453db14e19a8',
  );
  const config = parseRepositoryConfig(PLAINTEXT);
  assert.equal(config.version, 3);
  assert.equal(config.hash, 'BLAKE2B-256-128');
  assert.equal(config.encryption, 'AES256-GCM-HMAC-SHA256');
  assert.equal(config.splitter, 'DYNAMIC-4M-BUZHASH');
  assert.deepEqual(config.secret, VECTOR_SECRET);
  assert.deepEqual(config.masterKey, VECTOR_MASTER_KEY);
  assert.equal(config.maxPackSizeBytes, 20 * 1024 * 1024);
  assert.equal(config.indexVersion, 2);
  assert.equal(config.enablePasswordChange, true);
  assert.deepEqual(config.epochParameters, DEFAULT_EPOCH_PARAMETERS);
  assert.deepEqual(cipherSpecOf(config), { encryption: config.encryption, masterKey: config.masterKey });
});

test('an unchanged configuration is written byte for byte', () => {
  assert.equal(encodeText(parseText(STORED)), STORED);
});

test('a rewrite keeps unknown members, odd durations and locks', () => {
  const lock =
    '{"ownerID":"o","creationTime":"2026-11-20T08:50:30.123456789+01:00","advanceNoticeDuration":9007199254740993}';
  const stored = STORED.replace('"Enabled":true,', '"Enabled":true,"EpochNews":[1,{"x":12345678901234567890}],')
    .replace('"CleanupSafetyMargin":14400000000000', '"CleanupSafetyMargin":14400000000001')
    .replace(
      '"splitter"',
      `"upgradeLock":${lock},"requiredFeatures":[{"feature":"x","new":1}],"later":{"a":0},"splitter"`,
    )
    .replace(/}$/, ',"outside":[]}');
  const config = parseText(stored);
  assert.equal(config.upgradeLock?.advanceNoticeNs, 9007199254740993n);
  const changed = encodeText({ ...config, maxPackSizeBytes: 30 * 1024 * 1024, indexVersion: 1 });
  for (const kept of [
    '"EpochNews":[1,{"x":12345678901234567890}]',
    '14400000000001',
    lock,
    '"outside":[]',
    '"later"',
  ]) {
    assert.ok(changed.includes(kept), kept);
  }
  const again = parseText(changed);
  assert.equal(again.maxPackSizeBytes, 30 * 1024 * 1024);
  assert.equal(again.indexVersion, 1);
  assert.deepEqual(again.upgradeLock, config.upgradeLock);
  assert.deepEqual(again.requiredFeatures, config.requiredFeatures);
  assert.equal(encodeText({ ...again, maxPackSizeBytes: 20 * 1024 * 1024, indexVersion: 2 }), encodeText(config));
});

test('one changed duration leaves the digits of the others', () => {
  const config = parseText(STORED.replace('1200000000000', '1200000000001'));
  const epochParameters = { ...config.epochParameters, minEpochDurationMs: 2 * 86_400_000 };
  const text = encodeText({ ...config, epochParameters });
  assert.ok(text.includes('"EpochRefreshFrequency":1200000000001,'));
  assert.ok(text.includes('"MinEpochDuration":172800000000000,'));
});

test('zero and absent parameters take the defaults of old repositories', () => {
  const config = parseText(STORED.replace('"maxPackSize":20971520,"indexVersion":2,', ''));
  assert.equal(config.maxPackSizeBytes, 20 * 1024 * 1024);
  assert.equal(config.indexVersion, 1);
});

test('what cannot be used is refused', () => {
  const refused: readonly (readonly [string, string, string])[] = [
    ['"version":3', '"version":4', 'FORMAT_UNSUPPORTED'],
    ['"version":3', '"version":0', 'FORMAT_UNSUPPORTED'],
    ['"indexVersion":2', '"indexVersion":3', 'FORMAT_UNSUPPORTED'],
    ['BLAKE2B-256-128', 'BLAKE2B-512', 'FORMAT_UNSUPPORTED'],
    ['AES256-GCM-HMAC-SHA256', 'NONE', 'FORMAT_UNSUPPORTED'],
    ['"version":3', '"version":3,"ecc":"NO-SUCH","eccOverheadPercent":5', 'FORMAT_UNSUPPORTED'],
    ['"maxPackSize":20971520', '"maxPackSize":-1', 'FORMAT_INVALID'],
    ['"maxPackSize":20971520', '"maxPackSize":2000000000', 'FORMAT_INVALID'],
    ['"maxPackSize":20971520', '"maxPackSize":"20971520"', 'FORMAT_INVALID'],
    ['"masterKey"', '"otherKey"', 'FORMAT_INVALID'],
    ['"Enabled":true', '"Enabled":"yes"', 'FORMAT_INVALID'],
    ['"epochParameters":{', '"epochParameters":[],"x":{', 'FORMAT_INVALID'],
    ['"version":3', '"version":3,"requiredFeatures":[7]', 'FORMAT_INVALID'],
    ['"version":3', '"version":3,"upgradeLock":7', 'FORMAT_INVALID'],
    ['"version":3', '"version":3,"upgradeLock":{"creationTime":"yesterday"}', 'FORMAT_INVALID'],
    ['{"format"', '{"other"', 'FORMAT_INVALID'],
  ];
  for (const [from, to, code] of refused) {
    const text = STORED.replace(from, to);
    assert.notEqual(text, STORED);
    assert.throws(() => parseText(text), { code }, to);
  }
});

test('error correction counts only with an overhead', () => {
  const withEcc = STORED.replace('"version":3', '"ecc":"REED-SOLOMON-CRC32","eccOverheadPercent":5,"version":3');
  assert.deepEqual(cipherSpecOf(parseText(withEcc)).ecc, { algorithm: 'REED-SOLOMON-CRC32', overheadPercent: 5 });
  const without = withEcc.replace('"eccOverheadPercent":5', '"eccOverheadPercent":0');
  assert.equal(cipherSpecOf(parseText(without)).ecc, undefined);
});

test('epoch parameters must keep writers and cleaners apart', () => {
  validateEpochParameters(DEFAULT_EPOCH_PARAMETERS);
  validateEpochParameters({ ...DEFAULT_EPOCH_PARAMETERS, enabled: false, minEpochDurationMs: 0 });
  const broken = [
    { epochRefreshFrequencyMs: 0 },
    { epochRefreshFrequencyMs: 8 * 3_600_000 + 1 },
    { minEpochDurationMs: 599_999 },
    { cleanupSafetyMarginMs: 3_599_999 },
    { fullCheckpointFrequency: 0 },
    { epochAdvanceOnCountThreshold: 9 },
    { epochAdvanceOnTotalSizeBytesThreshold: 1024 * 1024 - 1 },
  ];
  for (const change of broken) {
    const parameters = { ...DEFAULT_EPOCH_PARAMETERS, ...change };
    assert.throws(() => validateEpochParameters(parameters), { code: 'FORMAT_INVALID' }, JSON.stringify(change));
  }
});
