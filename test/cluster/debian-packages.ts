// What a cluster needs of the distribution, installed where it is missing.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const NEEDED: Readonly<Record<string, string>> = {
  containerd: '/usr/bin/containerd',
  runc: '/usr/sbin/runc',
  'containernetworking-plugins': '/usr/lib/cni/bridge',
  'busybox-static': '/bin/busybox',
  attr: '/usr/bin/setfattr',
  iproute2: '/usr/sbin/ip',
  openssl: '/usr/bin/openssl',
};
const TIMEOUT_MS = 10 * 60_000;

/** Answers why they cannot be had. */
export function prepareDebianPackages(): string | undefined {
  const missing = Object.keys(NEEDED).filter((name) => !existsSync(NEEDED[name] ?? ''));
  if (missing.length === 0) return undefined;
  console.log(`installing ${missing.join(', ')}, once`);
  const aptGet = (...args: readonly string[]): number | null =>
    spawnSync('apt-get', [...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
      timeout: TIMEOUT_MS,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }).status;
  aptGet('update', '-qq');
  if (aptGet('install', '-qq', '-y', '--no-install-recommends', ...missing) === 0) return undefined;
  return `apt-get cannot install ${missing.join(', ')}`;
}
