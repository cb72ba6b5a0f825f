import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CredentialsSource } from './s3-credentials.ts';

const MINUTE = 60_000;

/** Answers with the next of `answers` each time; a number is when the keys expire. */
function sourceOf(answers: readonly (number | undefined | Error)[]): {
  source: CredentialsSource;
  asked: () => number;
} {
  let asked = 0;
  const source = new CredentialsSource(async () => {
    const answer = answers[asked++];
    if (answer instanceof Error) throw answer;
    const expiration = answer === undefined ? {} : { expiration: new Date(answer) };
    return { accessKeyId: `key-${asked}`, secretAccessKey: 's', ...expiration };
  });
  return { source, asked: () => asked };
}

async function keyAt(source: CredentialsSource, nowMs: number): Promise<string> {
  return (await source.get(nowMs)).accessKeyId;
}

test('many requests ask once, and again after the keys were told to be bad', async () => {
  const { source, asked } = sourceOf([undefined, undefined]);
  assert.equal(asked(), 0);
  assert.deepEqual(await Promise.all([keyAt(source, 0), keyAt(source, 1)]), ['key-1', 'key-1']);
  source.forget();
  assert.equal(await keyAt(source, 2), 'key-2');
});

test('keys are renewed before they expire, once for all, and not all the time when new ones expire as soon', async () => {
  const { source, asked } = sourceOf([20 * MINUTE, 21 * MINUTE, undefined]);
  assert.equal(await keyAt(source, 0), 'key-1');
  assert.equal(await keyAt(source, 14 * MINUTE), 'key-1');
  assert.deepEqual(await Promise.all([keyAt(source, 17 * MINUTE), keyAt(source, 17 * MINUTE)]), ['key-2', 'key-2']);
  assert.equal(await keyAt(source, 17.5 * MINUTE), 'key-2');
  assert.equal(asked(), 2);
  assert.equal(await keyAt(source, 18.5 * MINUTE), 'key-3');
});

test('a renewal that fails leaves the old keys until they expire; then it is an error', async () => {
  const { source } = sourceOf([20 * MINUTE, new Error('no answer'), new Error('no answer')]);
  assert.equal(await keyAt(source, 0), 'key-1');
  assert.equal(await keyAt(source, 18 * MINUTE), 'key-1');
  await assert.rejects(source.get(21 * MINUTE), /no answer/);
});

test('a failure is not kept', async () => {
  const { source } = sourceOf([new Error('no file yet'), undefined]);
  await assert.rejects(source.get(0), /no file yet/);
  assert.equal(await keyAt(source, 1), 'key-2');
});
