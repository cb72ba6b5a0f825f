// What Dockerfile puts into the images, without a registry and without a container runtime: the programs start from it, with nothing
// of this machine around them.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../harness/run-command.ts';
import { scratchFolder } from '../harness/scratch.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

test('the images have all that their programs need', async (t) => {
  const out = scratchFolder(t, 'images');
  for (const argv of [['scripts/build.ts'], ['scripts/image-trees.ts', out]]) {
    const result = await runCommand([process.execPath, ...argv], { cwd: root });
    assert.equal(result.code, 0, result.stderr);
  }
  const inAgent = ['chroot', join(out, 'agent'), '/usr/local/bin/node'];
  const agent = await runCommand([...inAgent, '/app/dist/agent.cjs', '--help']);
  assert.match(agent.stdout, /windlass-agent/, agent.stderr);
  const natives =
    "for (const name of ['koffi', '@napi-rs/blake-hash', 'zstd-napi']) require('/app/node_modules/' + name)";
  const loaded = await runCommand([...inAgent, '-e', natives]);
  assert.equal(loaded.code, 0, loaded.stderr);
  // With no argument it only says which one it wants.
  const helper = await runCommand([
    'chroot',
    '--userspec=1000:1000',
    join(out, 'restore-helper'),
    '/velero-restore-helper',
  ]);
  assert.equal(helper.code, 1);
  assert.match(helper.stderr, /exactly one argument is expected/);
  for (const name of ['agent', 'restore-helper'])
    assert.ok(readdirSync(join(out, name, 'var/lib/dpkg/status.d')).includes('libc6'), name);
});

test('the chart starts the programs of the images', () => {
  const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8');
  const chart = readFileSync(join(root, 'charts/windlass.yaml'), 'utf8');
  const entry = /ENTRYPOINT \["(\/usr\/local\/bin\/node)", "(\/app\/dist\/agent\.cjs)"\]/.exec(dockerfile);
  assert.ok(entry);
  assert.ok(chart.includes(`command: [${entry[1]}, ${entry[2]}]`));
  assert.match(dockerfile, /ENTRYPOINT \["\/velero-restore-helper"\]/);
});
