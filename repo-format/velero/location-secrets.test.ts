import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRepositoryPasswords, type SecretSource } from './location-secrets.ts';

const signal = new AbortController().signal;

type SecretsByName = Readonly<Record<string, Readonly<Record<string, string>>>>;

function sourceOf(secrets: SecretsByName, asked: string[] = []): SecretSource {
  const get = (name: string): Readonly<Record<string, string>> | undefined => {
    asked.push(name);
    return secrets[name];
  };
  return {
    has: (name) => Promise.resolve(get(name) !== undefined),
    value: (name, key) => {
      const text = get(name)?.[key];
      return Promise.resolve(text === undefined ? undefined : Buffer.from(text));
    },
    file: () => Promise.reject(new Error('not asked for here')),
  };
}

const common = { 'repository-password': 'common\n', 'repository-password-previous': 'common before' };
const own = { 'repository-password': 'own\n', 'repository-password-previous': 'own before' };
const secrets: SecretsByName = { 'velero-repo-credentials': common, 'velero-repo-credentials-demo': own };

test("a namespace's own Secret comes before the common one, with the password before it", async () => {
  const read = (volumeNamespace: string) =>
    readRepositoryPasswords(sourceOf(secrets), { volumeNamespace, perNamespace: true }, signal);
  assert.deepEqual(await read('demo'), { password: 'own', previousPassword: 'own before' });
  assert.deepEqual(await read('other'), { password: 'common', previousPassword: 'common before' });
});

test('where a server shares the repositories, the common Secret alone is asked for', async () => {
  const asked: string[] = [];
  const question = { volumeNamespace: 'demo', perNamespace: false };
  const { password } = await readRepositoryPasswords(sourceOf(secrets, asked), question, signal);
  assert.equal(password, 'common');
  assert.deepEqual([...new Set(asked)], ['velero-repo-credentials']);
});

test("a namespace's own Secret without a password is not made up for by the common one", async () => {
  for (const unfinished of [{}, { 'repository-password': ' \n' }, { 'repository-password-previous': 'x' }]) {
    const source = sourceOf({ ...secrets, 'velero-repo-credentials-demo': unfinished });
    await assert.rejects(readRepositoryPasswords(source, { volumeNamespace: 'demo', perNamespace: true }, signal), {
      code: 'PASSWORD_MISSING',
      message: 'Secret velero-repo-credentials-demo has no repository-password',
    });
  }
});

test('a name that no namespace can have asks for no Secret of its own', async () => {
  for (const volumeNamespace of ['', '-', 'a/b', '../x', 'A', 'a.b', 'n'.repeat(64)]) {
    const asked: string[] = [];
    await readRepositoryPasswords(sourceOf(secrets, asked), { volumeNamespace, perNamespace: true }, signal);
    assert.deepEqual([...new Set(asked)], ['velero-repo-credentials'], volumeNamespace);
  }
  const longest = 'n'.repeat(63);
  const asked: string[] = [];
  await readRepositoryPasswords(sourceOf(secrets, asked), { volumeNamespace: longest, perNamespace: true }, signal);
  assert.equal(asked[0], `velero-repo-credentials-${longest}`);
});
