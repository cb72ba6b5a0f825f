import assert from 'node:assert/strict';
import { test } from 'node:test';

import { storeSection, withStoreSection } from './section.ts';

test('a section is added, then replaced, and all else stays as it is', () => {
  const once = withStoreSection('# Report\n\ntables\n', 'first $& run');
  assert.ok(once.startsWith('# Report\n\ntables\n'));
  const moved = `${once}\n## Notes\n`;
  const twice = withStoreSection(moved, 'second $1 run');
  assert.equal(
    twice,
    moved.replace('first $& run', () => 'second $1 run'),
  );
  assert.match(storeSection(twice), /^<!--[^]*second \$1 run[^]*-->$/);
});

test('a report without a section has none', () => {
  assert.equal(storeSection('# Report\n'), '');
});
