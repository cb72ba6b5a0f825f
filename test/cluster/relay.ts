// A narrow way to the S3 server, with a storage location of its own: what goes through it takes its time, so that a test can meet it
// half done, and it can be cut.
import { fileURLToPath } from 'node:url';
import type { Cluster } from './cluster.ts';
import { NODE_ADDRESS } from './holder.ts';
import { STORE_URL } from './object-store.ts';

const NAME = 'relay';
const PORT = 7071;

export const RELAY_URL = `http://${NODE_ADDRESS}:${PORT}`;

/** Its bucket and the storage location that leads through it. */
export const SLOW_LOCATION = 'slow';

export async function startRelay(cluster: Cluster, bytesPerSecond: number): Promise<void> {
  await setPace(cluster, bytesPerSecond);
  await cluster.velero.createLocation(SLOW_LOCATION, SLOW_LOCATION, RELAY_URL);
}

/** Bytes a second from now on; connections that there are break. */
export async function setPace({ inside }: Cluster, bytesPerSecond: number): Promise<void> {
  await cutRelay({ inside });
  const program = fileURLToPath(new URL('relay-process.ts', import.meta.url));
  await inside.start(NAME, [process.execPath, program, NODE_ADDRESS, String(PORT), STORE_URL, String(bytesPerSecond)]);
}

/** Connections break, and are refused from now on. */
export async function cutRelay({ inside }: Pick<Cluster, 'inside'>): Promise<void> {
  if (inside.isKnown(NAME)) await inside.kill(NAME);
}

export async function mendRelay({ inside }: Cluster): Promise<void> {
  await inside.restart(NAME);
}
