import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { spawnSync } from 'node:child_process';
import { scratchFolder } from '../test/harness/scratch.ts';
import { lookAtVolume, tidyVolume } from './marker-folder.ts';
import { DEFAULT_DEADLINE_SECONDS } from './marker-text.ts';

const UID = '6f1e5c0a-7d1b-4a0e-9d0e-0123456789ab';

function volume(t: TestContext, files: Readonly<Record<string, string>> = {}): string {
  const root = scratchFolder(t, 'volume');
  mkdirSync(join(root, '.velero'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, '.velero', name), text);
  return root;
}

test('a volume is done when it has its own marker, empty or not', async (t) => {
  assert.deepEqual(await lookAtVolume(volume(t, { [UID]: '' }), UID), { state: 'done', options: {} });
  assert.deepEqual(await lookAtVolume(volume(t, { [UID]: 'x' }), UID), { state: 'done', options: {} });
  assert.deepEqual(await lookAtVolume(volume(t, { other: '' }), UID), { state: 'waiting', options: {} });
  assert.deepEqual(await lookAtVolume(volume(t), UID), { state: 'waiting', options: {} });
});

test('no folder, or no volume, is the ordinary wait', async (t) => {
  const root = scratchFolder(t);
  assert.deepEqual(await lookAtVolume(root, UID), { state: 'waiting', options: {} });
  assert.deepEqual(await lookAtVolume(join(root, 'nowhere'), UID), { state: 'waiting', options: {} });
});

test('a failure marker gives the reason; the completion marker wins over it', async (t) => {
  const failed = { [`${UID}.failed`]: '{"message":"disk full"}' };
  assert.deepEqual(await lookAtVolume(volume(t, failed), UID), {
    state: 'failed',
    failure: { message: 'disk full' },
  });
  assert.deepEqual(await lookAtVolume(volume(t, { ...failed, [UID]: '' }), UID), { state: 'done', options: {} });
});

test('options come with every state but failure', async (t) => {
  const options = { [`${UID}.options`]: '{"deadlineSeconds":5}' };
  assert.deepEqual(await lookAtVolume(volume(t, options), UID), { state: 'waiting', options: { deadlineSeconds: 5 } });
  assert.deepEqual(await lookAtVolume(volume(t, { ...options, [UID]: '' }), UID), {
    state: 'done',
    options: { deadlineSeconds: 5 },
  });
  assert.deepEqual(await lookAtVolume(volume(t, { [`${UID}.options`]: '?' }), UID), {
    state: 'waiting',
    options: { deadlineSeconds: DEFAULT_DEADLINE_SECONDS },
    note: 'the options are not a JSON object',
  });
});

test('a file that is too long is not read', async (t) => {
  const root = volume(t, { [`${UID}.failed`]: '', [`${UID}.options`]: '' });
  truncateSync(join(root, '.velero', `${UID}.failed`), 2 ** 40);
  const sight = await lookAtVolume(root, UID);
  assert.equal(sight.state, 'failed');
  assert.match(sight.failure.message, /no reason given: .*longer than 65536 bytes/);

  const long = volume(t, { [`${UID}.options`]: `{"deadlineSeconds":5${' '.repeat(65_536)}}` });
  const waiting = await lookAtVolume(long, UID);
  assert.equal(waiting.state, 'waiting');
  assert.deepEqual(waiting.options, { deadlineSeconds: DEFAULT_DEADLINE_SECONDS });
  assert.match(waiting.note ?? '', /longer than 65536 bytes/);
});

test('a link in place of a marker is not followed', async (t) => {
  const elsewhere = scratchFolder(t);
  writeFileSync(join(elsewhere, 'file'), '{"message":"from elsewhere","deadlineSeconds":5}');
  for (const suffix of ['', '.failed', '.options']) {
    const root = volume(t);
    symlinkSync(join(elsewhere, 'file'), join(root, '.velero', `${UID}${suffix}`));
    const sight = await lookAtVolume(root, UID);
    assert.equal(sight.state, 'waiting', suffix);
    assert.notEqual(sight.options.deadlineSeconds, 5);
    assert.match(sight.note ?? '', suffix === '.options' ? /is not used: ELOOP/ : /is not an ordinary file/);
  }
});

test('a link or a file in place of the folder is not followed', async (t) => {
  const done = volume(t, { [UID]: '' });
  for (const make of [symlinkSync, (_target: string, path: string) => writeFileSync(path, '')]) {
    const root = scratchFolder(t);
    make(join(done, '.velero'), join(root, '.velero'));
    assert.deepEqual(await lookAtVolume(root, UID), {
      state: 'waiting',
      options: {},
      note: '.velero is not a folder',
    });
  }
});

test('a folder, and a pipe without a writer, in place of a marker are none', async (t) => {
  for (const suffix of ['', '.failed', '.options']) {
    const root = volume(t);
    mkdirSync(join(root, '.velero', `${UID}${suffix}`));
    assert.equal((await lookAtVolume(root, UID)).state, 'waiting');
    const piped = volume(t);
    assert.equal(spawnSync('mkfifo', [join(piped, '.velero', `${UID}${suffix}`)]).status, 0);
    assert.equal((await lookAtVolume(piped, UID)).state, 'waiting');
  }
});

test('tidying removes the own markers and the empty folder, nothing else', async (t) => {
  const root = volume(t, { [UID]: '', [`${UID}.options`]: '{}', [`${UID}.failed`]: '{}' });
  writeFileSync(join(root, 'data'), '');
  assert.equal(await tidyVolume(root, UID), undefined);
  assert.deepEqual(readdirSync(root), ['data']);

  const shared = volume(t, { [UID]: '', other: '', [`${UID}.else`]: '' });
  assert.equal(await tidyVolume(shared, UID), 'ENOTEMPTY');
  assert.deepEqual(readdirSync(join(shared, '.velero')).sort(), [`${UID}.else`, 'other']);
});
