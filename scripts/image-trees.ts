// Puts together what the images consist of, below the folder given: `agent/` and `restore-helper/`. The build stage of Dockerfile runs
// it; nothing else is copied into an image. There is no shell and no package manager in them: only Node, the libraries that it and
// the native packages are linked with, and our files.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, globSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { placeProgram, stageLibraries, stageNode } from '../test/cluster/image-trees.ts';
import { productionPackages } from '../test/cluster/production-packages.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
/** Else os.userInfo() fails, and so does what asks for a home. */
const PASSWD = 'root:x:0:0:root:/tmp:/sbin/nologin\nwindlass:x:1000:1000:windlass:/tmp:/sbin/nologin\n';
const GROUP = 'root:x:0:\nwindlass:x:1000:\n';
const ADDONS = ['@napi-rs/*-linux-*-gnu/*.node', 'zstd-napi/build/Release/*.node'];

/** What no program reads. Licences stay. */
const UNREAD = /\.(map|d\.[cm]?ts)$/;

async function stageSystem(folder: string): Promise<void> {
  for (const path of ['etc', 'tmp', 'usr/local/bin']) mkdirSync(join(folder, path), { recursive: true });
  chmodSync(join(folder, 'tmp'), 0o1777);
  writeFileSync(join(folder, 'etc/passwd'), PASSWD);
  writeFileSync(join(folder, 'etc/group'), GROUP);
  await stageNode(folder);
}

async function stageAgent(folder: string): Promise<void> {
  await stageSystem(folder);
  for (const path of ['package.json', 'LICENSE', 'dist', ...productionPackages(root)])
    cpSync(join(root, path), join(folder, 'app', path), {
      recursive: true,
      filter: (path) => !UNREAD.test(path),
    });
  const packages = join(folder, 'app', 'node_modules');
  for (const addon of ADDONS.flatMap((pattern) => globSync(pattern, { cwd: packages })))
    await stageLibraries(folder, join(packages, addon));
  recordDebianPackages(folder);
}

/** The name is the one that Velero starts. */
async function stageHelper(folder: string): Promise<void> {
  await stageSystem(folder);
  placeProgram(folder, 'velero-restore-helper', join(root, 'dist', 'restore-helper.cjs'));
  recordDebianPackages(folder);
}

/** Where scanners look for packages in an image without dpkg: else nobody learns that a library of it has to be renewed. */
function recordDebianPackages(folder: string): void {
  const names = new Set<string>();
  for (const library of globSync('{lib,lib64,usr/lib}/**/*.so*', { cwd: folder })) {
    // dpkg knows a library by the path before or after the merge of /lib into /usr/lib.
    for (const path of [`/${library}`, `/usr/${library}`]) {
      const found = spawnSync('dpkg-query', ['--search', path], { encoding: 'utf8' });
      const name = /^([^:,\s]+(:\w+)?): /.exec(found.stdout ?? '')?.[1];
      if (name !== undefined) names.add(name);
    }
  }
  const records = join(folder, 'var/lib/dpkg/status.d');
  mkdirSync(records, { recursive: true });
  for (const name of names) {
    const status = spawnSync('dpkg-query', ['--status', name], { encoding: 'utf8' });
    if (status.status === 0) writeFileSync(join(records, name.split(':')[0] ?? name), status.stdout);
  }
}

const [out] = process.argv.slice(2);
if (out === undefined || !existsSync(join(root, 'dist', 'agent.cjs'))) {
  console.error('usage: scripts/image-trees.ts FOLDER, after npm run build');
  process.exitCode = 2;
} else {
  await stageAgent(resolve(out, 'agent'));
  await stageHelper(resolve(out, 'restore-helper'));
}
