// What a real Velero wrote once (test/golden/velero), served as a second storage location of the cluster's Velero.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unpackTarGz } from '../harness/tar.ts';
import type { Cluster } from './cluster.ts';
import { makeBucket } from './object-store.ts';

const GOLDEN = fileURLToPath(new URL('../golden/velero/', import.meta.url));

export const GOLDEN_LOCATION = 'golden';

/** The server lists it within a minute: it is made before the first test. */
export async function offerGoldenBucket({ inside, velero }: Cluster): Promise<void> {
  unpackTarGz(join(GOLDEN, 'pod-volumes.tar.gz'), makeBucket(inside, GOLDEN_LOCATION));
  await velero.createLocation(GOLDEN_LOCATION, GOLDEN_LOCATION);
}

/** A path of the volume as it was when it was backed up. */
export interface GoldenEntry {
  readonly path: string | { readonly hex: string };
  readonly type: 'file' | 'dir' | 'symlink' | 'fifo' | 'socket' | 'chardev';
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: string;
  readonly size?: number;
  readonly sha256?: string;
  readonly target?: string;
}

export function goldenEntries(): GoldenEntry[] {
  const lines = readFileSync(join(GOLDEN, 'pod-volumes.jsonl'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as GoldenEntry); // ours
}
