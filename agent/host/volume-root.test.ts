// Volumes under real mounts, each scenario in a mount namespace of its own; and what is refused without any.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { describeResult, runCommand } from '../../test/harness/run-command.ts';
import { scratchFolder } from '../../test/harness/scratch.ts';
import { openVolume, pathOf } from './volume-root.ts';

const child = fileURLToPath(new URL('../../test/harness/volume-mounts-child.ts', import.meta.url));
const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
const namespace = [...asRoot, '--mount', '--propagation', 'private'];

function canMount(): boolean {
  return spawnSync('unshare', [...namespace, 'mount', '-t', 'tmpfs', 'none', '/tmp']).status === 0;
}

const REPLACED = 'VOLUME_REPLACED: it was unmounted or mounted anew';
const ROWS: readonly (readonly [string, readonly string[]])[] = [
  ['not mounted', ['VOLUME_NOT_MOUNTED: the volume is not there']],
  ['mounted', ['fine']],
  ['a folder of the same file system, mounted', ['fine']],
  ['mounted above the volume', ['VOLUME_NOT_MOUNTED: the volume is not there']],
  ['unmounted while held', ['fine', REPLACED, 'file']],
  ['unmounted with its folder', ['fine', 'VOLUME_REPLACED: it is gone', 'file']],
  ['mounted anew', ['fine', REPLACED, 'file']],
  ['mounted over', ['fine', REPLACED, 'file']],
  ['the same folder mounted once more', [REPLACED]],
  ['a mount below it comes and goes', ['fine', 'fine', 'below,file']],
  ['a link in its place', ['VOLUME_NOT_FOUND: ENOTDIR']],
  ['full when its restore has ended', ['ENOSPC: no space left on device, write', 'fine', 'pvr-uid']],
  ['full when its restore fails', ['ENOSPC: no space left on device, write', 'fine', 'no space left']],
  ['too small for its restore', ['RESTORE_NO_SPACE', 'the restore needs 1048576 bytes, VOLUME has N']],
  ['backed up while it is unmounted', ['VOLUME_REPLACED', '0 snapshots']],
];

/** What came of each step of a scenario, in a mount namespace of its own. */
async function answersOf(t: TestContext, scenario: string): Promise<string[]> {
  const argv = ['unshare', ...namespace, process.execPath, child, scenario, scratchFolder(t, 'memory')];
  const result = await runCommand(argv);
  assert.equal(result.code, 0, describeResult(argv, result));
  return JSON.parse(result.stdout) as string[]; // volume-mounts-child.ts wrote it
}

const skip = canMount() ? false : 'mounts cannot be made here';
describe('a volume under a mount', { skip }, () => {
  for (const [scenario, expected] of ROWS) {
    test(scenario, async (t) => {
      assert.deepEqual(await answersOf(t, scenario), expected);
    });
  }
});

const withoutFuse = skip !== false || !existsSync('/dev/fuse') ? 'no FUSE here' : false;
test('a volume that does not answer is found all the same', { skip: withoutFuse }, async (t) => {
  const [mounted, answer] = await answersOf(t, 'looked for while it does not answer');
  if (mounted === 'mounted') assert.equal(answer, 'found');
});

test(
  'a data mover that cannot even be killed is given up, and its process left behind',
  { skip: withoutFuse },
  async (t) => {
    const [code, state] = await answersOf(t, 'moved while it does not answer');
    if (code === 'no FUSE') return t.skip('no FUSE here');
    assert.deepEqual([code, state], ['MOVER_STUCK', 'still there']);
  },
);

function aVolume(t: TestContext) {
  const root = scratchFolder(t, 'pods');
  const place = { root, names: ['uid', 'volumes', 'kubernetes.io~empty-dir', 'data'], isMount: false };
  mkdirSync(pathOf(place), { recursive: true });
  return { root, place, path: pathOf(place) };
}

test('a plain folder is held by what it is, not by its name', (t) => {
  const { place, path } = aVolume(t);
  const volume = openVolume(place);
  t.after(() => volume.close());
  volume.requireSame();
  renameSync(path, `${path}-away`);
  assert.throws(() => volume.requireSame(), { code: 'VOLUME_REPLACED', message: /it is gone/ });
  mkdirSync(path);
  assert.throws(() => volume.requireSame(), { code: 'VOLUME_REPLACED', message: /another volume is there/ });
  rmSync(path, { recursive: true });
  symlinkSync(`${path}-away`, path);
  assert.throws(() => volume.requireSame(), { code: 'VOLUME_REPLACED' }, 'nor by a link to itself');
  rmSync(path);
  renameSync(`${path}-away`, path);
  volume.requireSame();
});

test('a link anywhere on the way is not followed', (t) => {
  const { root, place } = aVolume(t);
  for (let depth = 1; depth <= place.names.length; depth++) {
    const path = join(root, ...place.names.slice(0, depth));
    renameSync(path, `${path}-real`);
    symlinkSync(`${path}-real`, path);
    assert.throws(() => openVolume(place), { code: 'VOLUME_NOT_FOUND' }, path);
    rmSync(path);
    renameSync(`${path}-real`, path);
  }
  openVolume(place).close();
});

test('what is no folder, and what is no name, is no volume', (t) => {
  const { root, place, path } = aVolume(t);
  rmSync(path, { recursive: true });
  assert.throws(() => openVolume(place), { code: 'VOLUME_NOT_FOUND', message: /ENOENT/ });
  writeFileSync(path, '');
  assert.throws(() => openVolume(place), { code: 'VOLUME_NOT_FOUND', message: /ENOTDIR/ });
  for (const name of ['..', '.', '', 'uid/volumes'])
    assert.throws(() => openVolume({ root, names: [name], isMount: false }), { code: 'VOLUME_NOT_FOUND' }, name);
});

test('no descriptor stays open where a volume was refused', (t) => {
  const { place } = aVolume(t);
  const next = (): number => {
    const volume = openVolume(place);
    volume.close();
    return volume.fd;
  };
  const before = next();
  for (let i = 0; i < 5; i++) {
    assert.throws(() => openVolume({ ...place, isMount: true }), { code: 'VOLUME_NOT_MOUNTED' });
    assert.throws(() => openVolume({ ...place, names: [...place.names, 'nothing'] }), { code: 'VOLUME_NOT_FOUND' });
    assert.throws(() => openVolume({ ...place, names: [...place.names, '..'] }), { code: 'VOLUME_NOT_FOUND' });
  }
  assert.equal(next(), before);
});

test('a volume that answers no more is broken, not replaced', (t) => {
  const { place } = aVolume(t);
  const volume = openVolume(place);
  closeSync(volume.fd);
  assert.throws(() => volume.requireSame(), { code: 'VOLUME_IO_ERROR', message: /cannot be read any more/ });
});
