// Our restore helper and Velero's, each as process 1 of a container on real folders, with the markers of our agent and of Velero's.
import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../harness/run-command.ts';
import { buildGoPrograms } from '../harness/go-program.ts';
import { HelperContainer, whyNoContainers, type HelperImage } from '../harness/helper-container.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const UID = '6f1e5c0a-7d1b-4a0e-9d0e-0123456789ab';
const OTHER_UID = '00000000-7d1b-4a0e-9d0e-0123456789ab';
const MEMORY_LIMIT_MIB = 60;

const OURS: HelperImage = {
  files: [process.execPath, join(root, 'dist/restore-helper.cjs')],
  argv: ['/image/node', '/image/restore-helper.cjs'],
};
let stock: HelperImage;

before(async () => {
  assert.equal(await whyNoContainers(), undefined);
  const built = await runCommand([process.execPath, join(root, 'scripts/build.ts')], { cwd: root });
  assert.equal(built.code, 0, built.stderr);
  const velero = buildGoPrograms('velero');
  assert.ok('path' in velero, JSON.stringify(velero));
  stock = { files: [join(velero.path, 'velero-restore-helper')], argv: ['/image/velero-restore-helper'] };
});

/** As either agent does: root's, folder 0755, empty file 0644. */
function mark(volume: string, suffix = '', text = ''): void {
  mkdirSync(join(volume, '.velero'), { recursive: true, mode: 0o755 });
  writeFileSync(join(volume, '.velero', `${UID}${suffix}`), text, { mode: 0o644 });
}

function ours(t: TestContext): HelperContainer {
  return new HelperContainer(t, OURS);
}

test('it waits until the last volume is marked', async (t) => {
  const pod = ours(t);
  const [data, logs] = [pod.volume('data'), pod.volume('logs')];
  const result = await pod.run([UID], async (running) => {
    await running.pid();
    mark(data);
    await running.output(/volume data restored/);
    mark(logs);
  });
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stdout, /volume data restored[^]*volume logs restored[^]*all volumes are restored \(2\)/);
  assert.equal(result.stderr, '');
});

test('a restart after success, as after a reboot of the node, succeeds at once: the markers have stayed', async (t) => {
  const pod = ours(t);
  mark(pod.volume('data'));
  for (let run = 0; run < 2; run++) assert.equal((await pod.run([UID])).code, 0);
  // As root in a volume that is open to it, too.
  assert.equal((await pod.run([UID], undefined, { uid: 0 })).code, 0);
  assert.deepEqual(readdirSync(join(pod.volume('data'), '.velero')), [UID]);
});

test('an agent that marks again on demand lets it tidy up, and a restart waits for that agent', async (t) => {
  const pod = ours(t);
  const volume = pod.volume('data');
  writeFileSync(join(volume, 'file'), '');
  mark(volume);
  mark(volume, '.options', '{"tidy":true}');
  assert.equal((await pod.run([UID], undefined, { uid: 0 })).code, 0);
  assert.deepEqual(readdirSync(volume), ['file']);
  const again = await pod.run([UID], async (running) => {
    await running.pid();
    mark(volume);
  });
  assert.equal(again.code, 0, again.stderr);
});

test('what it may not remove stays and is said; what is not its own stays anyway', async (t) => {
  const pod = ours(t);
  const [mine, foreign] = [pod.volume('mine'), pod.volume('foreign')];
  for (const volume of [mine, foreign]) {
    mark(volume);
    mark(volume, '.options', '{"tidy":true}');
  }
  chownSync(mine, 1000, 1000);
  chownSync(join(mine, '.velero'), 1000, 1000);
  writeFileSync(join(mine, '.velero', OTHER_UID), '');
  const result = await pod.run([UID]);
  assert.equal(result.code, 0);
  assert.deepEqual(readdirSync(join(mine, '.velero')), [OTHER_UID]);
  assert.deepEqual(readdirSync(join(foreign, '.velero')).sort(), [UID, `${UID}.options`]);
  assert.match(result.stdout, /volume foreign: markers left to the agent: EACCES/);
});

test('a failure marker ends it with the reason, on stderr and in the termination log', async (t) => {
  const pod = ours(t);
  mark(pod.volume('logs'));
  mark(pod.volume('data'), '.failed', '{"message":"no space left","code":"ENOSPC","podVolumeRestore":"r-abc"}');
  const result = await pod.run([UID]);
  assert.equal(result.code, 3);
  const reason = 'the restore failed: volume data: no space left [ENOSPC] (PodVolumeRestore r-abc)';
  assert.equal(result.stderr, `restore-helper: ${reason}\n`);
  assert.equal(pod.readTerminationLog(), reason);
  // The kubelet starts it again: a restore that was mended meanwhile counts.
  mark(pod.volume('data'));
  assert.equal((await pod.run([UID])).code, 0);
});

test('a termination log that is not there changes nothing but itself', async (t) => {
  const pod = ours(t);
  mark(pod.volume('data'), '.failed', '{"message":"no space left"}');
  rmSync(pod.terminationLog);
  assert.equal((await pod.run([UID])).code, 3);
  assert.equal(existsSync(pod.terminationLog), false);
  writeFileSync(pod.terminationLog, 'old', { mode: 0o600 });
  assert.equal((await pod.run([UID])).code, 3);
  assert.equal(pod.readTerminationLog(), 'old');
});

test('at the deadline that the agent set it ends and names what is missing', async (t) => {
  const pod = ours(t);
  mark(pod.volume('data'), '.options', '{"deadlineSeconds":1}');
  mark(pod.volume('logs'));
  const result = await pod.run([UID]);
  assert.equal(result.code, 4);
  assert.match(result.stderr, /^restore-helper: not restored within \d+ s: 1 of 2 volumes: data\n$/);
  assert.match(pod.readTerminationLog(), /^not restored within/);
});

test('a volume whose root is closed to it is named with its mode and owner, and seen once the agent opens it', async (t) => {
  const pod = ours(t);
  const volume = pod.volume('data');
  mark(volume);
  chownSync(volume, 999, 999);
  chmodSync(volume, 0o700);
  const result = await pod.run([UID], async (running) => {
    await running.output(/closed to this container/);
    chmodSync(volume, 0o711);
  });
  assert.equal(result.code, 0, result.stderr);
  assert.match(
    result.stdout,
    /root \(mode 0700, owner 999:999\) or \.velero is closed to this container \(user 1000, group 1000\)/,
  );
});

test('a signal ends it at once, although it is process 1', async (t) => {
  const pod = ours(t);
  pod.volume('data');
  const result = await pod.run([UID], async (running) => {
    await running.pid();
    // Before its handlers are there, process 1 ignores signals; a volume's note shows that it looks.
    writeFileSync(join(pod.volume('data'), '.velero'), '');
    await running.output(/is not a folder/);
    await running.signal('SIGTERM');
  });
  assert.equal(result.code, 143);
  assert.match(result.stdout, /stopped by a signal/);
});

test('anything but one UID as its argument is refused', async (t) => {
  const pod = ours(t);
  mark(pod.volume('data'));
  for (const args of [[], [UID, UID], [''], ['../x'], ['.'], [`${UID}.failed`], ['a'.repeat(129)]]) {
    const result = await pod.run(args);
    assert.equal(result.code, 1, JSON.stringify(args));
    assert.match(result.stderr, /exactly one argument/);
  }
});

test("Velero's helper takes our agent's markers, and its options and failures are nothing to it", async (t) => {
  const pod = new HelperContainer(t, stock);
  const volume = pod.volume('data');
  mark(volume, '.options', '{"deadlineSeconds":1}');
  mark(volume, '.failed', '{"message":"no space left"}');
  const result = await pod.run([UID], async (running) => {
    await running.output(/is not found yet/);
    mark(volume);
  });
  assert.equal(result.code, 0, result.stderr);
  assert.match(result.stdout, /Found the done file/);
});

test("Velero's helper, which may remove the markers, waits for ever in its second run unless an agent marks again", async (t) => {
  const pod = new HelperContainer(t, stock);
  const volume = pod.volume('data');
  mark(volume);
  assert.equal((await pod.run([UID], undefined, { uid: 0 })).code, 0);
  assert.equal(existsSync(join(volume, '.velero')), false);
  const again = await pod.run(
    [UID],
    async (running) => {
      await running.output(/is not found yet/);
      mark(volume);
    },
    { uid: 0 },
  );
  assert.equal(again.code, 0);
});

test('it needs less than 60 MiB, and little processor time to start', async (t) => {
  const pod = ours(t);
  mark(pod.volume('done'));
  pod.volume('data');
  const result = await pod.run([UID], async (running) => {
    const pid = await running.pid();
    await running.output(/volume done restored/);
    const { cpuMs, peakMiB } = await usage(pid);
    t.diagnostic(`processor ${cpuMs} ms, peak memory ${peakMiB.toFixed(1)} MiB`);
    // Memory does not depend on how busy the machine is; time does, so it is only shown.
    assert.ok(peakMiB < MEMORY_LIMIT_MIB, `${peakMiB} MiB`);
    await running.signal('SIGTERM');
  });
  assert.equal(result.code, 143);
  assert.equal(statSync(pod.terminationLog).size, 0);
});

async function usage(pid: number): Promise<{ cpuMs: number; peakMiB: number }> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  const ticks = Number(fields[11]) + Number(fields[12]);
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return { cpuMs: ticks * 10, peakMiB: Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024 };
}
