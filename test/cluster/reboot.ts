// The node is rebooted as far as that goes without a machine of its own: the kubelet, the container runtime and every process of every
// pod end at once; mounts, what lay in memory and the pods' network are gone. Disks and the control plane, which is elsewhere in a
// cluster of more than one node, stay.
import type { Cluster } from './cluster.ts';
import { processesOfGroup, processesWith } from './host-processes.ts';
import { cgroupName, containerdSocket, whenContainerdReady } from './node.ts';
import { waitFor } from './wait.ts';

export async function rebootNode({ inside }: Cluster): Promise<void> {
  const { folder } = inside;
  await inside.kill('kubelet');
  await inside.kill('containerd');
  // The shims first, or they would tell of the end of their containers.
  const parts = [() => processesWith(containerdSocket(folder)), () => processesOfGroup(cgroupName(folder))];
  for (const part of parts) {
    await waitFor('the end of all pods', () => {
      const pids = part();
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      return pids.length === 0 ? true : undefined;
    });
  }
  await inside.ok(['sh', '-euc', forget(folder)]);
  await inside.restart('containerd');
  await whenContainerdReady(inside);
  await inside.restart('kubelet');
}

function forget(folder: string): string {
  const places = [`${folder}/containerd/state`, `${folder}/kubelet/pods`, '/var/lib/kubelet/pods', '/run/netns'];
  const pattern = `^(${places.join('|')})/`;
  return [
    // The deepest first. What was mounted at one place is seen at others, and goes with it.
    `awk '$2 ~ "${pattern}" { print $2 }' /proc/mounts | sort -r | while read -r path; do umount -l "$path" || :; done`,
    `rm -rf ${folder}/containerd/state /run/netns/*`,
    'ip link del cni0',
  ].join('\n');
}
