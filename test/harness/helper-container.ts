// Runs a restore helper as the kubelet would: process 1 of its own namespaces, user 1000, in a read-only root file system that has
// nothing but the program and what it is linked with, with the pod's volumes below /restores. Needs root, no container runtime.
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeResult, runCommand, type CommandResult } from './run-command.ts';
import { scratchFolder, type CleanUp } from './scratch.ts';

const HELPER_UID = 1000;
/** Process 1's signals come from outside of its namespace, so it has to be found there. */
const FIND_TRIES = 400;
const FIND_PAUSE_MS = 25;

const SCRIPT = `
set -eu
pod=$1; root=$1/root; uid=$2; shift 2
mount -t tmpfs -o mode=0755 none "$root"
mkdir "$root/proc" "$root/dev" "$root/usr" "$root/restores"
mount --rbind /usr "$root/usr"
for name in bin lib lib64; do
  if [ -L "/$name" ]; then cp -P "/$name" "$root/$name"
  elif [ -d "/$name" ]; then mkdir "$root/$name"; mount --rbind "/$name" "$root/$name"; fi
done
mount -t proc proc "$root/proc"
for name in null urandom; do : >"$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
if [ -e "$pod/termination-log" ]; then
  : >"$root/dev/termination-log"; mount --bind "$pod/termination-log" "$root/dev/termination-log"
fi
mount --rbind "$pod/restores" "$root/restores"
mkdir "$root/image"; mount --bind "$pod/image" "$root/image"
mount -o remount,ro "$root"
exec chroot --userspec="$uid:$uid" --groups= "$root" "$@"
`;

/** A program of an image: `files` are put into it, `argv` starts it with the container's arguments after it. */
export interface HelperImage {
  readonly files: readonly string[];
  readonly argv: readonly string[];
}

export class HelperContainer {
  readonly #pod: string;
  readonly #image: HelperImage;

  constructor(t: CleanUp, image: HelperImage) {
    this.#pod = scratchFolder(t, 'pod');
    this.#image = image;
    for (const name of ['root', 'image', 'restores']) mkdirSync(join(this.#pod, name));
    chmodSync(this.#pod, 0o755);
    for (const file of image.files) {
      const target = join(this.#pod, 'image', file.slice(file.lastIndexOf('/') + 1));
      copyFileSync(file, target);
      chmodSync(target, 0o755);
    }
    writeFileSync(this.terminationLog, '');
    chmodSync(this.terminationLog, 0o666);
  }

  /** The folder of a volume, as the agent sees it. Made when it is asked for first. */
  volume(name: string): string {
    const path = join(this.#pod, 'restores', name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  get terminationLog(): string {
    return join(this.#pod, 'termination-log');
  }

  readTerminationLog(): string {
    return readFileSync(this.terminationLog, 'utf8');
  }

  /** Runs it until it ends. `meanwhile` gets a function that signals its process 1. */
  async run(
    args: readonly string[],
    meanwhile?: (container: RunningHelper) => Promise<void>,
    options: { readonly uid?: number } = {},
  ): Promise<CommandResult> {
    const namespaces = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child'];
    const script = ['sh', '-c', SCRIPT, 'sh', this.#pod, String(options.uid ?? HELPER_UID)];
    const argv = ['unshare', ...namespaces, ...script, ...this.#image.argv, ...args];
    let background: Promise<void> | undefined;
    const result = await runCommand(argv, {
      env: { POD_NAMESPACE: 'default', POD_NAME: 'pod' },
      onStart: (child) => {
        background = meanwhile?.(new RunningHelper(child));
        background?.catch(() => child.kill('SIGKILL')); // and told below
      },
    });
    await background;
    if (result.stderr.includes('unshare:') || result.stderr.includes('mount:'))
      throw new Error(describeResult(argv.slice(0, 4), result));
    return result;
  }
}

export class RunningHelper {
  readonly #unshare: ChildProcess;
  #output = '';

  constructor(unshare: ChildProcess) {
    this.#unshare = unshare;
    for (const stream of [unshare.stdout, unshare.stderr])
      stream?.on('data', (bytes: Buffer) => {
        this.#output += bytes.toString();
      });
  }

  /** Resolves once the program itself has started, not only its container; answers its process id out here. */
  async pid(): Promise<number> {
    for (let tries = 0; tries < FIND_TRIES; tries++) {
      const pid = this.#unshare.pid;
      const children = readOr(`/proc/${pid}/task/${pid}/children`).trim();
      // The shell sets up the container and is then replaced.
      if (/^\d+$/.test(children) && !readOr(`/proc/${children}/cmdline`).startsWith('sh\0')) {
        const command = readOr(`/proc/${children}/cmdline`);
        if (command !== '' && !command.startsWith('chroot\0') && !command.startsWith('unshare\0'))
          return Number(children);
      }
      await pause();
    }
    throw new Error('the helper did not start');
  }

  async signal(name: NodeJS.Signals): Promise<void> {
    process.kill(await this.pid(), name);
  }

  async output(pattern: RegExp): Promise<void> {
    for (let tries = 0; tries < FIND_TRIES; tries++) {
      if (pattern.test(this.#output)) return;
      await pause();
    }
    throw new Error(`the helper never said ${pattern}: ${this.#output}`);
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, FIND_PAUSE_MS));

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // gone already, or not there yet
  }
}

/** Why there can be no such container here; undefined when there can. */
export async function whyNoContainers(): Promise<string | undefined> {
  const child = spawn('unshare', ['--mount', '--pid', '--fork', 'true'], { stdio: 'ignore' });
  const code = await new Promise<number | null>((resolve) => {
    child.on('error', () => resolve(null));
    child.on('close', resolve);
  });
  return code === 0 ? undefined : 'namespaces need root and util-linux';
}
