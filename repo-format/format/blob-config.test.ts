import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeBlobConfig, isRetentionEnabled, NO_RETENTION, parseBlobConfig } from './blob-config.ts';

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const DAY_NS = 86_400_000_000_000n;

test('settings are read and written exactly, unknown members too', () => {
  const stored = '{"retentionMode":"COMPLIANCE","retentionPeriod":9223372036854775807,"later":[1]}';
  const config = parseBlobConfig(bytes(stored));
  assert.equal(config.retentionMode, 'COMPLIANCE');
  assert.equal(config.retentionPeriodNs, 9223372036854775807n);
  assert.equal(isRetentionEnabled(config), true);
  assert.deepEqual(encodeBlobConfig(config), bytes(stored));
});

test('retention off is an empty object', () => {
  assert.deepEqual(encodeBlobConfig(NO_RETENTION), bytes('{}'));
  assert.equal(isRetentionEnabled(parseBlobConfig(bytes('{}'))), false);
});

test('settings that no client would accept are not written', () => {
  const invalid = { code: 'FORMAT_INVALID' };
  assert.throws(() => encodeBlobConfig({ ...NO_RETENTION, retentionMode: 'COMPLIANCE' }), invalid);
  assert.throws(() => encodeBlobConfig({ ...NO_RETENTION, retentionPeriodNs: DAY_NS }), invalid);
  const short = { retentionMode: 'GOVERNANCE', retentionPeriodNs: DAY_NS - 1n, raw: {} };
  assert.throws(() => encodeBlobConfig(short), invalid);
  encodeBlobConfig({ ...short, retentionPeriodNs: DAY_NS });
});
