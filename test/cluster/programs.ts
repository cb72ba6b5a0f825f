// The programs a cluster is made of, and why they are not to be had where they are not.
import { join } from 'node:path';
import { buildGoProgram, buildGoPrograms } from '../harness/go-program.ts';
import type { Peer } from '../harness/peer-cache.ts';
import { prepareDebianPackages } from './debian-packages.ts';

export interface Programs {
  readonly etcd: string;
  readonly versitygw: string;
  readonly awsPlugin: string;
  /** Folders. */
  readonly kubernetes: string;
  readonly velero: string;
}

/** Builds and installs what is missing. */
export function preparePrograms(): Programs | { readonly missing: string } {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return { missing: 'a cluster needs Linux and root' };
  const built: Record<keyof Programs, Peer> = {
    etcd: buildGoProgram('etcd'),
    versitygw: buildGoProgram('versitygw'),
    kubernetes: buildGoPrograms('kubernetes'),
    velero: buildGoPrograms('velero'),
    awsPlugin: buildGoPrograms('velero-plugin-for-aws'),
  };
  for (const peer of Object.values(built)) if ('missing' in peer) return peer;
  const missing = prepareDebianPackages();
  if (missing !== undefined) return { missing };
  const path = (peer: Peer): string => ('path' in peer ? peer.path : '');
  return {
    etcd: path(built.etcd),
    versitygw: path(built.versitygw),
    kubernetes: path(built.kubernetes),
    velero: path(built.velero),
    awsPlugin: join(path(built.awsPlugin), 'velero-plugin-for-aws'),
  };
}

/** Why there can be no cluster here; undefined where there can, and everything is built and installed. */
export function clusterMissing(): string | undefined {
  const programs = preparePrograms();
  return 'missing' in programs ? programs.missing : undefined;
}
