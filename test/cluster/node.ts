// The cluster's one node: containerd and a kubelet, with a cgroup of their own.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { NODE_NAME, type Keys } from './certificates.ts';
import { NODE_ADDRESS } from './holder.ts';
import type { Inside } from './inside.ts';
import { waitFor } from './wait.ts';

const CGROUPS = '/sys/fs/cgroup';

/** Below every controller: one name a run, as several clusters may share the machine. */
export function cgroupName(folder: string): string {
  return basename(folder);
}

/** The kubelet wants its root under every controller of cgroup v1. */
export function makeCgroups(folder: string): void {
  for (const controller of controllers()) {
    const parent = join(CGROUPS, controller);
    const path = join(parent, cgroupName(folder));
    mkdirSync(path, { recursive: true });
    for (const file of controller === 'cpuset' ? ['cpuset.cpus', 'cpuset.mems'] : []) {
      writeFileSync(join(path, file), readFileSync(join(parent, file)));
    }
  }
}

/** They outlive the processes. */
export function removeCgroups(name: string): void {
  for (const controller of ['unified', ...controllers()]) removeGroup(join(CGROUPS, controller, name));
}

/** Cgroup names below the first controller that a run of this harness made. */
export function cgroupNames(prefix: string): string[] {
  const [first] = controllers();
  return first === undefined ? [] : readdirSync(join(CGROUPS, first)).filter((name) => name.startsWith(prefix));
}

function controllers(): string[] {
  return readdirSync(CGROUPS, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== 'unified')
    .map((entry) => entry.name);
}

function removeGroup(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroup(join(path, entry.name));
  }
  rmdirSync(path);
}

export async function startContainerd(inside: Inside): Promise<void> {
  const { folder } = inside;
  mkdirSync(join(folder, 'net.d'), { recursive: true });
  writeFileSync(join(folder, 'net.d', 'bridge.conflist'), networkConfiguration(folder));
  writeFileSync(join(folder, 'containerd.toml'), containerdConfiguration(folder));
  await inside.start('containerd', ['containerd', '--config', join(folder, 'containerd.toml')]);
  await whenContainerdReady(inside);
}

export async function whenContainerdReady(inside: Inside): Promise<void> {
  await waitFor('containerd', async () => {
    const asked = await inside.run(ctr(inside.folder, 'version'), { timeoutMs: 10_000 });
    return asked.code === 0 ? true : undefined;
  });
}

export function ctr(folder: string, ...args: readonly string[]): string[] {
  return ['ctr', '-a', containerdSocket(folder), '-n', 'k8s.io', ...args];
}

export async function startKubelet(inside: Inside, program: string, keys: Keys): Promise<void> {
  const { folder } = inside;
  writeFileSync(join(folder, 'resolv.conf'), '');
  writeFileSync(join(folder, 'kubelet.json'), kubeletConfiguration(folder, keys));
  await inside.start('kubelet', [
    program,
    `--config=${join(folder, 'kubelet.json')}`,
    `--kubeconfig=${keys.kubeconfigs.kubelet}`,
    `--hostname-override=${NODE_NAME}`,
    `--node-ip=${NODE_ADDRESS}`,
  ]);
}

export function containerdSocket(folder: string): string {
  return join(folder, 'containerd.sock');
}

// Without CAP_SYS_RESOURCE no process may be given a negative score: every sandbox would fail.
function containerdConfiguration(folder: string): string {
  return `
version = 2
root = "${join(folder, 'containerd/root')}"
state = "${join(folder, 'containerd/state')}"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]
[grpc]
  address = "${containerdSocket(folder)}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${join(folder, 'net.d')}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`;
}

function networkConfiguration(folder: string): string {
  return JSON.stringify({
    cniVersion: '0.4.0',
    name: 'bridge',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isGateway: true,
        ipMasq: false,
        hairpinMode: true,
        ipam: {
          type: 'host-local',
          ranges: [[{ subnet: '10.244.0.0/24' }]],
          routes: [{ dst: '0.0.0.0/0' }],
          dataDir: join(folder, 'leases'),
        },
      },
    ],
  });
}

function kubeletConfiguration(folder: string, keys: Keys): string {
  return JSON.stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    containerRuntimeEndpoint: `unix://${containerdSocket(folder)}`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroupName(folder)}`,
    failCgroupV1: false,
    failSwapOn: false,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: keys.authority },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: keys.kubelet.certificate,
    tlsPrivateKeyFile: keys.kubelet.key,
    rotateCertificates: false,
    resolvConf: join(folder, 'resolv.conf'),
    readOnlyPort: 0,
    makeIPTablesUtilChains: false,
    // An image that is collected cannot be pulled again; a full disk of the machine must not evict pods.
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    evictionHard: {
      'memory.available': '100Mi',
      'nodefs.available': '1%',
      'nodefs.inodesFree': '1%',
      'imagefs.available': '1%',
    },
    nodeStatusUpdateFrequency: '4s',
    registryPullQPS: 0,
    maxPods: 200,
    volumePluginDir: join(folder, 'volume-plugins'),
  });
}
