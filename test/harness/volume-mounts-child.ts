// Real mounts, for tests of volumes: run in a mount namespace of its own with the name of a scenario and an empty folder, it prints what came of each step.
import { spawnSync, type StdioOptions } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  read,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode } from '../../base/errors.ts';
import { silentLogger } from '../../base/logger.ts';
import { startMover } from '../../agent/datapath/mover-process.ts';
import { findVolume } from '../../agent/host/find-volume.ts';
import { prepareMarkers, readDoneMarker, writeDoneMarker, writeFailureMarker } from '../../agent/host/markers.ts';
import { openVolume, type VolumeRoot } from '../../agent/host/volume-root.ts';
import type { Message, VolumePlace } from '../../agent/datapath/job.ts';
import { MoverFixture } from './mover-fixture.ts';

const BY = { podVolumeRestore: 'velero/again-1', uid: 'pvr-uid' };
const NAMES = ['pod', 'volumes', 'kubernetes.io~csi', 'pv-1', 'mount'];

function run(...argv: readonly string[]): void {
  const [program = '', ...args] = argv;
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
}

function mountMemory(path: string, file = 'file'): void {
  run('mount', '-t', 'tmpfs', 'none', path);
  writeFileSync(join(path, file), 'text');
}

class Kubelet {
  readonly place: VolumePlace;
  readonly path: string;

  constructor(root: string) {
    this.place = { root, names: NAMES, isMount: true };
    this.path = join(root, ...NAMES);
    mkdirSync(this.path, { recursive: true });
  }

  /** `fine`, or the code. */
  open(): string {
    return outcome(() => openVolume(this.place).close());
  }

  held(): VolumeRoot {
    return openVolume(this.place);
  }
}

function outcome(work: () => void): string {
  try {
    work();
    return 'fine';
  } catch (error) {
    const { message } = error as Error;
    return `${errorCode(error)}: ${message.slice(message.lastIndexOf(': ') + 2)}`;
  }
}

/** To the first request of a FUSE mount: `fuse_out_header` and `fuse_init_out` of protocol 7.31. */
function initAnswer(request: Buffer): Buffer {
  const answer = Buffer.alloc(80);
  answer.writeUInt32LE(answer.length, 0);
  request.copy(answer, 8, 8, 16); // the number of the request
  answer.writeUInt32LE(7, 16);
  answer.writeUInt32LE(31, 20);
  answer.writeUInt32LE(4096, 36); // bytes of a write, at most
  answer.writeUInt32LE(1, 40); // granularity of times
  return answer;
}

type Scenario = (kubelet: Kubelet) => readonly string[] | Promise<readonly string[]>;

/** Mounted, held, changed by `change`: what is said before and after, and what the descriptor still sees. */
function whileHeld(change: (kubelet: Kubelet) => void): Scenario {
  return (kubelet) => {
    mountMemory(kubelet.path);
    const volume = kubelet.held();
    const before = outcome(() => volume.requireSame());
    change(kubelet);
    const after = outcome(() => volume.requireSame());
    return [before, after, readdirSync(`/proc/self/fd/${volume.fd}`).join()];
  };
}

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'not mounted': (kubelet) => {
    writeFileSync(join(kubelet.path, 'of-the-node'), '');
    return [kubelet.open()];
  },
  mounted: (kubelet) => {
    mountMemory(kubelet.path);
    return [kubelet.open()];
  },
  'a folder of the same file system, mounted': (kubelet) => {
    const folder = join(kubelet.place.root, 'disk');
    mkdirSync(folder);
    run('mount', '--bind', folder, kubelet.path);
    return [kubelet.open()];
  },
  'mounted above the volume': (kubelet) => {
    // The plugin's folder is a mount, the volume in it is not.
    const above = join(kubelet.path, '..');
    run('mount', '-t', 'tmpfs', 'none', above);
    mkdirSync(kubelet.path);
    return [kubelet.open()];
  },
  'unmounted while held': whileHeld(({ path }) => run('umount', '-l', path)),
  'unmounted with its folder': whileHeld(({ path }) => {
    run('umount', '-l', path);
    renameSync(path, `${path}-deleting`);
  }),
  'mounted anew': whileHeld(({ path }) => {
    run('umount', '-l', path);
    mountMemory(path, 'other');
  }),
  'mounted over': whileHeld(({ path }) => mountMemory(path, 'other')),
  'the same folder mounted once more': (kubelet) => {
    const folder = join(kubelet.place.root, 'disk');
    mkdirSync(folder);
    run('mount', '--bind', folder, kubelet.path);
    const volume = kubelet.held();
    run('umount', '-l', kubelet.path);
    run('mount', '--bind', folder, kubelet.path);
    return [outcome(() => volume.requireSame())];
  },
  'a mount below it comes and goes': whileHeld(({ path }) => {
    mkdirSync(join(path, 'below'));
    mountMemory(join(path, 'below'));
  }),
  'a link in its place': (kubelet) => {
    const { path } = kubelet;
    renameSync(path, `${path}-real`);
    mountMemory(`${path}-real`);
    symlinkSync(`${path}-real`, path);
    return [kubelet.open()];
  },
  'full when its restore fails': (kubelet) => {
    run('mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', kubelet.path);
    const volume = kubelet.held();
    prepareMarkers(volume, 'uid', BY);
    const filling = outcome(() => writeFileSync(join(kubelet.path, 'file'), Buffer.alloc(1 << 20)));
    const telling = outcome(() =>
      writeFailureMarker(volume, 'uid', { message: 'no space left', code: 'ENOSPC', podVolumeRestore: 'again-1' }),
    );
    const said = readFileSync(join(kubelet.path, '.velero', 'uid.failed'), 'utf8');
    return [filling, telling, (JSON.parse(said) as { message: string }).message];
  },
  'full when its restore has ended': (kubelet) => {
    run('mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', kubelet.path);
    const volume = kubelet.held();
    prepareMarkers(volume, 'uid', BY);
    const filling = outcome(() => writeFileSync(join(kubelet.path, 'file'), Buffer.alloc(1 << 20)));
    const telling = outcome(() => writeDoneMarker(volume, 'uid', BY));
    return [filling, telling, readDoneMarker(volume, 'uid')?.by?.uid ?? 'nobody'];
  },
  'too small for its restore': async (kubelet) => {
    const fixture = await MoverFixture.create({ after: () => undefined });
    const source = fixture.volume('source');
    writeFileSync(join(source.path, 'file'), Buffer.alloc(1 << 20, 'text'));
    const { snapshotId } = await fixture.backUp(fixture.backupJob(source));
    run('mount', '-t', 'tmpfs', '-o', 'size=128k', 'none', kubelet.path);
    const problem: unknown = await fixture
      .restore(fixture.restoreJob(kubelet.place, snapshotId))
      .catch((error: unknown) => error);
    const { message } = problem as Error;
    return [errorCode(problem) ?? 'none', message.replace(kubelet.path, 'VOLUME').replace(/has \d+$/, 'has N')];
  },
  'looked for while it does not answer': async ({ path, place }) => {
    // A file system whose server never says a word.
    const device = openSync('/dev/fuse', 'r+');
    const options = 'fd=3,rootmode=40000,user_id=0,group_id=0';
    const stdio: StdioOptions = ['ignore', 'ignore', 'pipe', device];
    const { status } = spawnSync('mount', ['-i', '-t', 'fuse', '-o', options, 'none', path], { stdio });
    const found = findVolume(place.root, 'pod', { names: ['pv-1', 'mount'] }).then(() => 'found');
    const answer = await Promise.race([found, sleep(20_000, 'no answer', { ref: false })]);
    // The connection ends with it, and everything that waits.
    closeSync(device);
    return [status === 0 ? 'mounted' : 'no FUSE', answer];
  },
  'moved while it does not answer': async ({ path, place }) => {
    const device = openSync('/dev/fuse', 'r+');
    const options = 'fd=3,rootmode=40000,user_id=0,group_id=0,allow_other';
    const stdio: StdioOptions = ['ignore', 'ignore', 'pipe', device];
    const { status } = spawnSync('mount', ['-i', '-t', 'fuse', '-o', options, 'none', path], { stdio });
    if (status !== 0) return ['no FUSE'];
    const request = Buffer.alloc(1 << 17);
    readSync(device, request);
    writeSync(device, initAnswer(request));
    // What comes next has been taken over, and is never answered: not even a signal ends who waits for it.
    const taken = new Promise<void>((resolve) => read(device, request, 0, request.length, null, () => resolve()));
    const mover = startMover(
      { kind: 'mark', subject: {}, volume: place, restoreUid: 'uid', mark: { outcome: 'seen-again' } },
      {
        onMessage: () => undefined,
        environment: { PATH: process.env['PATH'] },
        logger: silentLogger,
        patience: { killAfterMs: 100, giveUpAfterMs: 1_000 },
      },
    );
    const ending = mover.result.then(
      () => 'fine',
      (error: unknown) => errorCode(error) ?? String(error),
    );
    await taken;
    mover.stop();
    mover.stop();
    const code = await ending;
    const isThere = existsSync(`/proc/${mover.pid}`);
    closeSync(device);
    while (existsSync(`/proc/${mover.pid}`)) await sleep(10);
    return [code, isThere ? 'still there' : 'gone'];
  },
  'backed up while it is unmounted': async (kubelet) => {
    mountMemory(kubelet.path);
    const fixture = await MoverFixture.create({ after: () => undefined });
    const on = ({ type }: Message): void => {
      if (type === 'started') run('umount', '-l', kubelet.path);
    };
    const code = await fixture.backUp(fixture.backupJob(kubelet.place), { on }).then(
      () => 'fine',
      (error: unknown) => errorCode(error) ?? String(error),
    );
    return [code, `${(await fixture.snapshots()).length} snapshots`];
  },
};

async function main(): Promise<void> {
  // In memory, so that all of it goes with the namespace; not over the temporary folder itself, which may have the program in it.
  const [, , name = '', memory = ''] = process.argv;
  run('mount', '-t', 'tmpfs', 'none', memory);
  process.env['TMPDIR'] = memory;
  const scenario = SCENARIOS[name];
  if (scenario === undefined) throw new Error('no such scenario');
  const root = mkdtempSync(join(tmpdir(), 'pods-'));
  process.stdout.write(`${JSON.stringify(await scenario(new Kubelet(root)))}\n`);
}

await main();
