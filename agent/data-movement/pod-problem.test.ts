import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KubeError, type KubeClient, type Pod } from '../../kube/index.ts';
import { aPod } from '../../test/harness/pod-volume-objects.ts';
import { createTestClock } from '../../test/harness/test-clock.ts';
import { podProblem } from './pod-problem.ts';

const reference = { namespace: 'shop', name: 'db-0', uid: 'pod-uid' };
const away = new KubeError('KUBE_UNAVAILABLE', 'away');

async function asked(...answers: readonly (Pod | Error)[]) {
  const clock = createTestClock();
  let calls = 0;
  const get = (): Promise<Pod> => {
    const answer = answers[Math.min(calls++, answers.length - 1)];
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer ?? aPod());
  };
  const answer = await podProblem(reference, { client: { get } as unknown as KubeClient, clock });
  return { answer, calls, sleptMs: clock.sleepsMs.reduce((sum, ms) => sum + ms, 0) };
}

test('a pod that is there all the while is no problem', async () => {
  assert.deepEqual(await asked(aPod()), { answer: {}, calls: 1, sleptMs: 0 });
});

test('a pod that is gone, going, or another one has taken its volume with it', async () => {
  const gone = { problem: 'pod shop/db-0 was deleted while its volume was read', mayPass: false };
  for (const state of [
    new KubeError('KUBE_NOT_FOUND', 'gone'),
    aPod({ metadata: { deletionTimestamp: '2026-11-20T13:00:00Z' } }),
    aPod({ metadata: { uid: 'another' } }),
  ])
    assert.deepEqual((await asked(state)).answer, gone);
});

test('an API server that is away is waited for, and in the end nothing is said to be complete', async () => {
  assert.deepEqual(await asked(away, away, aPod()), { answer: {}, calls: 3, sleptMs: 10_000 });
  const { answer, sleptMs } = await asked(away);
  assert.equal(answer.mayPass, true);
  assert.match(answer.problem ?? '', /cannot be told: KUBE_UNAVAILABLE/);
  assert.ok(sleptMs >= 9 * 60_000, 'ten minutes or so');
});
