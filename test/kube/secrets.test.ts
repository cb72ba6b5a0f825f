// Secrets of a real API server as values and as files: what is read anew, what is missing, and many that want the same at a time.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { KINDS, Secrets } from '../../kube/index.ts';
import { createTestClock, type TestClock } from '../harness/test-clock.ts';
import { scratchFolder } from '../harness/scratch.ts';
import { startKubeFixture, type KubeFixture } from './fixture.ts';

let kube: KubeFixture;
before(async () => {
  kube = await startKubeFixture();
});
after(() => kube.close());

const signal = new AbortController().signal;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

interface Prepared {
  readonly namespace: string;
  readonly clock: TestClock;
  readonly secrets: Secrets;
  set(value: string): Promise<void>;
}

async function prepared(t: TestContext): Promise<Prepared> {
  const namespace = await kube.namespace();
  await kube.admin.create(KINDS.secret, {
    metadata: { namespace, name: 'cloud' },
    data: { key: base64('first'), empty: '' },
  });
  const clock = createTestClock();
  const secrets = new Secrets({ client: kube.client, clock, namespace, folder: scratchFolder(t, 'secrets') });
  const set = async (value: string): Promise<void> => {
    await kube.admin.patch(KINDS.secret, { namespace, name: 'cloud' }, { data: { key: base64(value) } });
  };
  return { namespace, clock, secrets, set };
}

test('a value is read once in a while, and at once after it was forgotten', async (t) => {
  const { secrets, clock, set } = await prepared(t);
  const read = async (): Promise<string | undefined> => (await secrets.value('cloud', 'key', signal))?.toString();
  assert.equal(await read(), 'first');
  await set('second');
  assert.equal(await read(), 'first');
  clock.advance(30_000);
  assert.equal(await read(), 'second');
  await set('third');
  secrets.forget();
  assert.equal(await read(), 'third');
});

test('what is not there is not remembered as missing', async (t) => {
  const { secrets, namespace } = await prepared(t);
  assert.equal(await secrets.value('cloud', 'other', signal), undefined);
  assert.equal((await secrets.value('cloud', 'empty', signal))?.length, 0);
  assert.equal(await secrets.value('later', 'key', signal), undefined);
  await assert.rejects(secrets.file('later', 'key', signal), { code: 'SECRET_UNUSABLE', retry: 'never' });
  await kube.admin.create(KINDS.secret, { metadata: { namespace, name: 'later' }, data: { key: base64('here') } });
  assert.equal((await secrets.value('later', 'key', signal))?.toString(), 'here');
});

test('a file is for this user alone, follows its value, and is mended', async (t) => {
  const { secrets, set } = await prepared(t);
  const path = await secrets.file('cloud', 'key', signal);
  assert.equal(readFileSync(path, 'utf8'), 'first');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(dirname(path)).mode & 0o777, 0o700);
  await set('second');
  await secrets.refreshFiles(signal);
  assert.equal(readFileSync(path, 'utf8'), 'second');
  writeFileSync(path, 'changed by somebody');
  assert.equal(await secrets.file('cloud', 'key', signal), path);
  assert.equal(readFileSync(path, 'utf8'), 'second');
});

test('many that want the same file at a time all get it whole', async (t) => {
  const { secrets } = await prepared(t);
  const paths = await Promise.all(Array.from({ length: 20 }, () => secrets.file('cloud', 'key', signal)));
  const [path = ''] = paths;
  assert.deepEqual(new Set(paths), new Set([path]));
  assert.equal(readFileSync(path, 'utf8'), 'first');
  assert.equal(readdirSync(dirname(path)).length, 1, 'nothing unfinished is left');
});

test('a key that was removed leaves the file as it was: a transfer that runs goes on with it', async (t) => {
  const { secrets, namespace } = await prepared(t);
  const path = await secrets.file('cloud', 'key', signal);
  await kube.admin.patch(KINDS.secret, { namespace, name: 'cloud' }, { data: { key: null } });
  await secrets.refreshFiles(signal);
  assert.equal(readFileSync(path, 'utf8'), 'first');
  await kube.admin.delete(KINDS.secret, { namespace, name: 'cloud' });
  await secrets.refreshFiles(signal);
  assert.equal(readFileSync(path, 'utf8'), 'first');
});

test('who gives up waiting takes nobody else with it', async (t) => {
  const { secrets } = await prepared(t);
  const impatient = new AbortController();
  const first = secrets.value('cloud', 'key', impatient.signal);
  const second = secrets.value('cloud', 'key', signal);
  impatient.abort();
  await assert.rejects(first);
  assert.equal((await second)?.toString(), 'first');
});
