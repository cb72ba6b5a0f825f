// The package as it is published: packed, unpacked below a node_modules elsewhere, and run there. Node strips no types below node_modules,
// so this fails when anything of ours, a worker thread's file for example, did not get into the bundle.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { scratchFolder } from '../harness/scratch.ts';
import { WindlassClient } from '../harness/windlass-command.ts';

const CLONE = fileURLToPath(new URL('../../', import.meta.url));

test('the packed and installed command backs up, restores and verifies', async (t) => {
  const folder = scratchFolder(t, 'package');
  const packed = execFileSync('npm', ['pack', '--json', '--silent', '--pack-destination', folder], {
    cwd: CLONE,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  // The build prints a line before npm's document.
  const [{ filename = '' } = {}] = JSON.parse(packed.slice(packed.indexOf('['))) as { filename?: string }[];
  const modules = join(folder, 'node_modules');
  mkdirSync(modules);
  execFileSync('tar', ['-xzf', join(folder, filename), '-C', modules]);
  execFileSync('mv', [join(modules, 'package'), join(modules, 'windlass')]);
  // The dependencies that an install would put beside it.
  for (const name of readdirSync(join(CLONE, 'node_modules'))) {
    if (!name.startsWith('.')) symlinkSync(join(CLONE, 'node_modules', name), join(modules, name));
  }
  const tree = join(folder, 'tree');
  mkdirSync(tree);
  writeFileSync(join(tree, 'file'), 'content\n');
  const program = [join(modules, 'windlass/bin/windlass')];
  const windlass = new WindlassClient({
    repository: join(folder, 'repository'),
    cacheFolder: join(folder, 'cache'),
    password: 'p',
    program,
  });
  await windlass.ok('repository', 'create');
  await windlass.ok('snapshot', 'create', tree, '--compression', 'zstd-fastest');
  await windlass.ok('snapshot', 'restore', 'latest', join(folder, 'restored'), '--verify');
  await windlass.ok('snapshot', 'verify');
  assert.equal(readFileSync(join(folder, 'restored', 'file'), 'utf8'), 'content\n');
});
