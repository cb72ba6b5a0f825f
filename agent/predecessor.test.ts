import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../base/logger.ts';
import type { Pod, Store } from '../kube/index.ts';
import { aPod } from '../test/harness/pod-volume-objects.ts';
import { predecessor, whenAlone } from './predecessor.ts';

const OLD = '2026-11-20T12:00:00Z';
const NEW = '2026-11-20T12:00:30Z';

interface AgentPod {
  readonly uid?: string;
  readonly createdAt?: string;
  readonly phase?: string;
  readonly namespace?: string;
  readonly role?: string;
}

function agentPod(name: string, options: AgentPod = {}): Pod {
  const { uid = name, createdAt = OLD, phase = 'Running', namespace = 'velero', role = 'node-agent' } = options;
  const metadata = { name, namespace, uid, creationTimestamp: createdAt, labels: { role } };
  return aPod({ metadata, status: { phase } });
}

function storeOf(pods: readonly Pod[]): Store<Pod> {
  const find = (key: string) => pods.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === key);
  return { get: find, list: () => [...pods], size: pods.length };
}

const self = agentPod('self', { createdAt: NEW });
const before = (others: readonly Pod[], podName: string | undefined = 'self') =>
  predecessor({ pods: storeOf([self, ...others]), namespace: 'velero', podName })?.metadata.name;

test('the younger of two agents on a node waits for the older, and only it', () => {
  assert.equal(before([]), undefined);
  assert.equal(before([agentPod('old')]), 'old');
  assert.equal(before([agentPod('younger', { createdAt: '2026-11-20T12:01:00Z' })]), undefined);
  // Of the same second: one of them, whoever asks.
  assert.equal(before([agentPod('twin', { createdAt: NEW, uid: 'a' })]), 'twin');
  assert.equal(before([agentPod('twin', { createdAt: NEW, uid: 'z' })]), undefined);
});

test('what moves nothing is not waited for', () => {
  assert.equal(before([agentPod('ended', { phase: 'Succeeded' })]), undefined);
  assert.equal(before([agentPod('failed', { phase: 'Failed' })]), undefined);
  assert.equal(before([agentPod('never-started', { phase: 'Pending' })]), undefined);
  assert.equal(before([agentPod('other', { role: 'web' })]), undefined);
  assert.equal(before([agentPod('elsewhere', { namespace: 'other' })]), undefined);
});

test('a process that is in no pod waits for nobody', () => {
  assert.equal(before([agentPod('old')], 'laptop'), undefined);
  assert.equal(predecessor({ pods: storeOf([agentPod('old')]), namespace: 'velero', podName: undefined }), undefined);
});

test('it goes on when the other has gone', async () => {
  const pods = [self, agentPod('old')];
  let sleeps = 0;
  const sleep = (): Promise<void> => {
    if (++sleeps === 3) pods.pop();
    return Promise.resolve();
  };
  const clock = { nowMs: () => 0, nowNs: () => 0n, monotonicMs: () => 0, sleep };
  const options = { pods: storeOf(pods), namespace: 'velero', podName: 'self' };
  const store = { ...options.pods, list: () => [...pods] };
  await whenAlone({ ...options, pods: store }, { clock, logger: silentLogger }, new AbortController().signal);
  assert.equal(sleeps, 3);
});
