import assert from 'node:assert/strict';
import { test } from 'node:test';

import { sectionOf, withSection } from './section.ts';

test('a section is added, then replaced, and all else stays as it is', () => {
  const once = withSection('# Report\n\ntables\n', 'object stores', 'first $& run');
  assert.ok(once.startsWith('# Report\n\ntables\n'));
  const moved = withSection(`${once}\n## Notes\n`, 'node agents', 'agents');
  const twice = withSection(moved, 'object stores', 'second $1 run');
  assert.equal(
    twice,
    moved.replace('first $& run', () => 'second $1 run'),
  );
  assert.match(sectionOf(twice, 'object stores'), /^<!--[^]*second \$1 run[^]*-->$/);
  assert.match(sectionOf(twice, 'node agents'), /^<!--[^]*agents[^]*-->$/);
});

test('a report without a section has none', () => {
  assert.equal(sectionOf('# Report\n', 'node agents'), '');
});
