// The folders that images are made of, staged once a run: a static busybox, the Node that runs this, programs by name.
import { chmodSync, copyFileSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describeResult, runCommand } from '../harness/run-command.ts';

const BUSYBOX = '/bin/busybox';

/** A small system: every applet, the usual files of /etc, a home. */
export async function stageBusybox(folder: string): Promise<void> {
  for (const path of ['bin', 'etc', 'tmp', 'home/cnb', 'root']) mkdirSync(join(folder, path), { recursive: true });
  chmodSync(join(folder, 'tmp'), 0o1777);
  chmodSync(join(folder, 'home/cnb'), 0o777);
  copyFileSync(BUSYBOX, join(folder, 'bin/busybox'));
  for (const applet of (await output([BUSYBOX, '--list'])).trim().split('\n')) {
    if (applet !== 'busybox') symlinkSync('busybox', join(folder, 'bin', applet));
  }
  writeFileSync(join(folder, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/cnb:/bin/sh\n');
  writeFileSync(join(folder, 'etc/group'), 'root:x:0:\nuser:x:1000:\n');
}

/** Node's own program at /usr/local/bin/node, with the libraries it is linked to. */
export async function stageNode(folder: string): Promise<void> {
  const program = realpathSync(process.execPath);
  placeProgram(folder, 'usr/local/bin/node', program);
  await stageLibraries(folder, program);
}

/** What a program or an addon is linked to. */
export async function stageLibraries(folder: string, program: string): Promise<void> {
  for (const [, path = ''] of (await output(['ldd', program])).matchAll(/(?:=> )?(\/\S+) \(0x/g)) {
    placeProgram(folder, path, realpathSync(path));
  }
}

/** The program at a path in the image. */
export function placeProgram(folder: string, path: string, program: string): void {
  const target = join(folder, path);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(program, target);
  chmodSync(target, 0o755);
}

async function output(argv: readonly string[]): Promise<string> {
  const result = await runCommand(argv);
  if (result.code !== 0) throw new Error(describeResult(argv, result));
  return result.stdout;
}
