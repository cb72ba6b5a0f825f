// One process that owns the private namespaces (processes, mounts, network) a whole cluster runs in. When it ends, by whatever means,
// the kernel ends every process of the cluster and takes away every mount, interface and route with it.
import { spawn } from 'node:child_process';
import { existsSync, openSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand, describeResult } from '../harness/run-command.ts';
import { childrenOf } from './host-processes.ts';
import { waitFor } from './wait.ts';

/** The address of the node: processes of the cluster listen there, pods reach them there. */
export const NODE_ADDRESS = '10.250.0.1';
/** The first address of the service range, given to the node itself: pods find the API server there without kube-proxy. */
export const API_SERVICE_ADDRESS = '10.96.0.1';

// As process 1 of its namespace it is the parent of every orphan, and must reap it.
const REAP = 'trap exit TERM; while :; do sleep 1000 & wait $!; done';
const OVERLAID = ['var/lib', 'var/log', 'srv'];
const BOUND: Readonly<Record<string, string>> = {
  kubelet: '/var/lib/kubelet',
  'pod-logs': '/var/log/pods',
  'container-logs': '/var/log/containers',
  cni: '/var/lib/cni',
  volumes: '/srv/pv',
};

/** The kernel's settings that a kubelet writes, for the whole machine: here into files of the run. */
const KERNEL_SETTINGS = [
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
];

/** Starts the holder and prepares its mounts and network; answers its process id as the machine sees it. */
export async function startHolder(folder: string): Promise<number> {
  const log = openSync(join(folder, 'holder.log'), 'a');
  // Killed with whoever started it, however that one ends.
  const unshare = spawn(
    'setpriv',
    [
      '--pdeathsig=KILL',
      'unshare',
      '--net',
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      '--propagation',
      'private',
      'bash',
      '-c',
      REAP,
    ],
    { stdio: ['ignore', log, log], detached: true },
  );
  closeSync(log);
  unshare.unref();
  const pid = await waitFor('the holder of the namespaces', () => {
    if (unshare.exitCode !== null) throw new Error(`unshare ended with ${unshare.exitCode}`);
    return childrenOf(unshare.pid ?? 0)[0];
  });
  await waitFor('the private network', () => isApart(pid));
  for (const script of [mounts(folder), NETWORK]) {
    const argv = entering(pid, ['sh', '-euc', script]);
    const result = await runCommand(argv);
    if (result.code !== 0) throw new Error(describeResult(argv, result));
  }
  return pid;
}

/** The command, run inside. */
export function entering(holderPid: number, argv: readonly string[]): string[] {
  return ['nsenter', '-t', String(holderPid), '-n', '-m', '-p', '--wd=/', ...argv];
}

/** Ends everything that runs inside. */
export async function stopHolder(holderPid: number): Promise<void> {
  try {
    process.kill(holderPid, 'SIGKILL');
  } catch {
    return; // it had ended before
  }
  await waitFor('the end of the holder', () => (existsSync(`/proc/${holderPid}`) ? undefined : true));
}

/** `unshare` forks before its child has set up anything: true once a command may enter. */
async function isApart(pid: number): Promise<true | undefined> {
  const result = await runCommand(entering(pid, ['sh', '-c', '[ "$(cat /proc/1/comm)" = bash ]']));
  return result.code === 0 ? true : undefined;
}

// Kubernetes insists on places of the machine: writes to them go to the run's folder instead.
function mounts(folder: string): string {
  return [
    // Containers ask for mounts that propagate.
    'mount --make-rshared /',
    `mkdir ${folder}/settings`,
    ...KERNEL_SETTINGS.flatMap((name) => {
      const copy = `${folder}/settings/${name.replaceAll('/', '.')}`;
      return [`cat /proc/sys/${name} > ${copy}`, `mount --bind ${copy} /proc/sys/${name}`];
    }),
    ...OVERLAID.flatMap((path) => {
      const layer = `${folder}/overlay/${path}`;
      return [
        `mkdir -p ${layer}/upper ${layer}/work`,
        `mount -t overlay overlay -o lowerdir=/${path},upperdir=${layer}/upper,workdir=${layer}/work /${path}`,
      ];
    }),
    'mount -t tmpfs tmpfs /run',
    ...Object.entries(BOUND).flatMap(([name, path]) => [
      `mkdir -p ${folder}/${name} ${path}`,
      `mount --bind ${folder}/${name} ${path}`,
    ]),
  ].join('\n');
}

// The kernel may have no dummy interfaces: an empty bridge serves.
const NETWORK = `
ip link set lo up
ip link add node0 type bridge
ip addr add ${NODE_ADDRESS}/24 dev node0
ip addr add ${API_SERVICE_ADDRESS}/32 dev node0
ip link set node0 up
ip route add 10.96.0.0/24 dev node0
sysctl -q -w net.ipv4.ip_forward=1
`;
