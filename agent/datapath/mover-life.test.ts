// Data movers as processes: what they do is done again by the next one when they are killed, stopped, or lose their agent.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MoverFixture } from '../../test/harness/mover-fixture.ts';
import { SeededRandom } from '../../test/harness/seeded-random.ts';
import type { Message } from './job.ts';
import type { MoverProcess } from './mover-process.ts';

const MIB = 1 << 20;
const random = new SeededRandom(21);

function fill(path: string, files = 3, sizeBytes = 20_000): void {
  for (let i = 0; i < files; i++) writeFileSync(join(path, `file-${i}`), random.bytes(sizeBytes));
}

/** Everything has been read then, and nothing is said to be stored. */
function atConfirm(act: (mover: MoverProcess) => void): (message: Message, mover: MoverProcess) => void {
  return ({ type }, mover) => {
    if (type === 'confirm') act(mover);
  };
}

function kill(pid: number | undefined): void {
  assert.ok(pid !== undefined);
  process.kill(pid, 'SIGKILL');
}

test('a backup, the same again, and its restore', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  fill(volume.path);
  const seen: string[] = [];
  const mover = fixture.start(fixture.backupJob(volume), ({ type }, { answer }) => {
    seen.push(type);
    if (type === 'confirm') answer({});
  });
  const first = await mover.result;
  assert.ok(first.type === 'backed-up' && !first.outcome.wasFinished);
  assert.ok(mover.maxRssBytes > MIB);
  assert.equal(seen[0], 'started');
  assert.ok(seen.includes('confirm'));
  const again = await fixture.start(fixture.backupJob(volume)).result;
  assert.ok(again.type === 'backed-up' && again.outcome.wasFinished);
  assert.equal(again.outcome.snapshotId, first.outcome.snapshotId);
  const target = fixture.volume('restored');
  const restored = await fixture.start(fixture.restoreJob(target, first.outcome.snapshotId)).result;
  assert.ok(restored.type === 'restored');
  assert.deepEqual([restored.outcome.files, restored.outcome.totalBytes], [3, 60_000]);
  assert.equal(existsSync(join(target.path, '.velero', 'restore-uid')), true);
});

test('a mover that was killed is gone on with: what it had stored is not stored again', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  fill(volume.path, 3, 25 * MIB);
  const killed = fixture.start(
    fixture.backupJob(volume),
    atConfirm(({ pid }) => kill(pid)),
  );
  await assert.rejects(killed.result, { code: 'MOVER_DIED', retry: 'transient', message: /ended by SIGKILL/ });
  assert.deepEqual(await fixture.snapshots(), []);
  const next = await fixture.start(fixture.backupJob(volume)).result;
  assert.ok(next.type === 'backed-up');
  const { files, resumedPacks, uploadedBytes, totalBytes } = next.outcome;
  assert.equal(files, 3);
  assert.ok(resumedPacks > 0);
  assert.ok(uploadedBytes < totalBytes / 2, `${uploadedBytes} of ${totalBytes} bytes`);
  assert.equal((await fixture.snapshots()).length, 1);
  const restored = await fixture.restore(fixture.restoreJob(fixture.volume('new'), next.outcome.snapshotId));
  assert.equal(restored.totalBytes, totalBytes);
});

test('a mover that is stopped leaves no snapshot', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  fill(volume.path);
  const stopped = fixture.start(
    fixture.backupJob(volume),
    atConfirm((mover) => mover.stop()),
  );
  await assert.rejects(stopped.result, { name: 'AbortError' });
  assert.deepEqual(await fixture.snapshots(), []);
});

test('a pod that is gone by the end makes no snapshot of what was left of its folder', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  fill(volume.path);
  const answers = [
    [{ problem: 'the pod is being deleted' }, 'never'],
    [{ problem: 'the API server does not answer', mayPass: true }, 'transient'],
  ] as const;
  for (const [answer, retry] of answers) {
    const mover = fixture.start(
      fixture.backupJob(volume),
      atConfirm((asking) => asking.answer(answer)),
    );
    await assert.rejects(mover.result, { code: 'POD_GONE', retry, message: answer.problem });
  }
  assert.deepEqual(await fixture.snapshots(), []);
});

test('a mover whose agent is killed ends by itself, and says nothing is stored', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  fill(volume.path);
  const program = fileURLToPath(new URL('../../test/harness/mover-parent-child.ts', import.meta.url));
  const agent = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => void agent.kill('SIGKILL'));
  agent.stdin.write(`${JSON.stringify(fixture.backupJob(volume))}\n`);
  let pid = 0;
  for await (const line of createInterface({ input: agent.stdout })) {
    const told = JSON.parse(line) as { readonly pid?: number; readonly type?: string };
    pid = told.pid ?? pid;
    if (told.type === 'confirm') break;
  }
  assert.ok(isAlive(pid));
  agent.kill('SIGKILL');
  while (isAlive(pid)) await delay(20);
  assert.deepEqual(await fixture.snapshots(), []);
  const next = await fixture.start(fixture.backupJob(volume)).result;
  assert.ok(next.type === 'backed-up' && !next.outcome.wasFinished);
});

/** Killed with its agent or after it, it belongs to nobody, and is not always collected: a zombie is dead. */
function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}/exe`);
}

test('a restore that was killed is done by the next one', async (t) => {
  const fixture = await MoverFixture.create(t);
  const volume = fixture.volume('pod-uid');
  mkdirSync(join(volume.path, 'folder'));
  fill(volume.path);
  const { snapshotId } = await fixture.backUp(fixture.backupJob(volume));
  const target = fixture.volume('restored');
  const job = fixture.restoreJob(target, snapshotId, { onNotEmpty: 'fail' });
  let wasKilled = false;
  const mover = fixture.start(job, ({ type }, { pid }) => {
    if (type !== 'started') return;
    wasKilled = true;
    kill(pid);
  });
  // It may have been faster than the signal; what counts is what the next one makes of it.
  await mover.result.catch(() => undefined);
  assert.equal(wasKilled, true);
  const next = await fixture.start(job).result;
  assert.ok(next.type === 'restored' && next.outcome.totalBytes === 60_000);
  assert.equal(existsSync(join(target.path, '.velero', 'restore-uid')), true);
});
