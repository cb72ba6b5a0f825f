import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ContainerStatus } from '../../kube/index.ts';
import { aPod } from '../../test/harness/pod-volume-objects.ts';
import { helperState, type HelperState } from './helper-state.ts';

const ROWS: readonly (readonly [string, readonly Omit<ContainerStatus, 'name'>[] | undefined, HelperState])[] = [
  ['no status yet', undefined, 'absent'],
  ['no init containers', [], 'absent'],
  ['not begun', [{ state: { waiting: { reason: 'PodInitializing' } } }], 'absent'],
  ['its image is pulled', [{ state: { waiting: { reason: 'ImagePullBackOff' } }, restartCount: 0 }], 'absent'],
  ['runs', [{ state: { running: {} } }], 'waits'],
  ['ended with a reason', [{ state: { terminated: { exitCode: 3 } } }], 'waits'],
  ['will be started again', [{ state: { waiting: { reason: 'CrashLoopBackOff' } }, restartCount: 2 }], 'waits'],
  [
    'will be started again, as its last end says',
    [{ state: { waiting: {} }, lastState: { terminated: { exitCode: 3 } } }],
    'waits',
  ],
  ['has seen all', [{ state: { terminated: { exitCode: 0 } } }], 'over'],
  ['has seen all after a restart', [{ state: { terminated: { exitCode: 0 } }, restartCount: 4 }], 'over'],
];

describe('the init container', () => {
  for (const [what, statuses, expected] of ROWS) {
    test(what, () => {
      const initContainerStatuses = statuses?.map((status) => ({ name: 'restore-wait', ...status }));
      const other = { name: 'migrate', state: { running: {} } };
      const status = statuses === undefined ? {} : { initContainerStatuses: [other, ...(initContainerStatuses ?? [])] };
      assert.equal(helperState(aPod({ status })), expected);
    });
  }
});
