import assert from 'node:assert/strict';
import { test } from 'node:test';

import { requesterOf } from './requests.ts';

function ofPod(name: string, account = 'velero'): ReturnType<typeof requesterOf> {
  const extra = { 'authentication.kubernetes.io/pod-name': [name] };
  return requesterOf({ user: { username: `system:serviceaccount:velero:${account}`, extra } });
}

test('the name of the pod tells Velero’s server, the agents and their pods apart', () => {
  assert.equal(ofPod('velero-7fc589c597-l695p'), 'server');
  assert.equal(ofPod('node-agent-52p8q'), 'agent');
  assert.equal(ofPod('node-agent-52p8q', 'windlass-node-agent'), 'agent');
  assert.equal(ofPod('bench-many-velero-mx05b35b-0-x7k2q'), 'agent', 'a pod that moves one volume');
});

test('the bench itself is not counted', () => {
  assert.equal(requesterOf({ user: { username: 'admin' } }), undefined);
  assert.equal(requesterOf({ user: { username: 'system:node:node-1' } }), 'others');
});
