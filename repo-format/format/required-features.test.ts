import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../base/logger.ts';
import { parseRequiredFeatures, requireFeatures } from './required-features.ts';

test('known features pass, unknown ones refuse or warn as they say', () => {
  const warned: unknown[] = [];
  const logger = { ...silentLogger, warn: (_message: string, fields?: unknown) => warned.push(fields) };
  const features = parseRequiredFeatures({
    requiredFeatures: [
      { feature: 'index-v1' },
      { feature: 'index-v2', ifNotUnderstood: { warn: false } },
      { feature: 'nice-to-have', ifNotUnderstood: { warn: true, message: 'hm', url: 'u', upgradeToVersion: '9' } },
    ],
  });
  requireFeatures(features, logger);
  assert.deepEqual(warned, [{ feature: 'nice-to-have', message: 'hm', url: 'u', upgradeToVersion: '9' }]);
  for (const ifNotUnderstood of [undefined, null, {}, { warn: false, message: 'upgrade' }]) {
    const insisting = parseRequiredFeatures({
      requiredFeatures: [{ feature: 'must-have', ...(ifNotUnderstood === undefined ? {} : { ifNotUnderstood }) }],
    });
    assert.throws(() => requireFeatures(insisting, logger), { code: 'FORMAT_UNSUPPORTED' });
  }
});

test('no features is the usual case', () => {
  assert.deepEqual(parseRequiredFeatures({}), []);
  assert.deepEqual(parseRequiredFeatures({ requiredFeatures: null }), []);
  requireFeatures([], silentLogger);
});
