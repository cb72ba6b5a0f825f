// The store of the S3 bench: versitygw over the bench's scratch memory, and a relay before it for each latency.
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { startS3Server, type S3Server } from '../../harness/s3-server.ts';
import { removeTree } from '../../harness/scratch.ts';
import { filesBelow } from '../folders.ts';
import { cpuSecondsOf } from '../measure.ts';
import { startRelay, type RelayProcess } from './relay-process.ts';
import type { Traffic } from './request-counter.ts';

/** A bucket as one tool sees it. */
export interface Place {
  /** Without a path: `http://127.0.0.1:port`. */
  readonly endpoint: string;
  readonly bucket: string;
  /** Keys, as the provider's ordinary variables. */
  readonly environment: Readonly<Record<string, string>>;
}

/** How a tool reaches the store: on loopback itself, or through the relay with so many milliseconds of latency. */
export type Way = 'direct' | number;

/** What a phase cost outside of the tool. */
export interface StoreCost {
  readonly traffic?: Traffic;
  readonly serverCpuSeconds: number;
  readonly relayCpuSeconds: number;
}

export class BenchStore {
  readonly server: S3Server;
  readonly #relays = new Map<number, RelayProcess>();
  readonly #endNow: () => void;

  private constructor(server: S3Server) {
    this.server = server;
    // Relays end by themselves with this process; the server has to be told.
    this.#endNow = () => process.kill(server.pid, 'SIGKILL');
    process.prependListener('exit', this.#endNow);
  }

  /** Below `folder`. */
  static async start(folder: string): Promise<BenchStore> {
    return new BenchStore(await startS3Server({ parent: folder, keepAlive: true }));
  }

  async makePlace(bucket: string, way: Way): Promise<Place> {
    await this.server.createBucket(bucket);
    return this.placeAt(bucket, way);
  }

  /** A bucket that is already there. */
  async placeAt(bucket: string, way: Way): Promise<Place> {
    const { endpoint } = way === 'direct' ? this.server : await this.#relay(way);
    return { endpoint, bucket, environment: { ...this.server.environment } };
  }

  async #relay(latencyMs: number): Promise<RelayProcess> {
    const found = this.#relays.get(latencyMs);
    if (found !== undefined) return found;
    const relay = await startRelay({ port: Number(new URL(this.server.endpoint).port), latencyMs });
    this.#relays.set(latencyMs, relay);
    return relay;
  }

  /** What `work` makes the server do, and pass through the relay where there is one on the way. */
  async watch<T>(way: Way, work: () => Promise<T>): Promise<{ result: T; cost: StoreCost }> {
    const relay = way === 'direct' ? undefined : await this.#relay(way);
    await relay?.take();
    const before = cpuSecondsOf(this.server.pid);
    const result = await work();
    const passed = await relay?.take();
    const serverCpuSeconds = cpuSecondsOf(this.server.pid) - before;
    const cost = { serverCpuSeconds, relayCpuSeconds: passed?.cpuSeconds ?? 0 };
    return { result, cost: passed === undefined ? cost : { ...cost, traffic: passed.traffic } };
  }

  folderOf(bucket: string): string {
    return join(this.server.folder, bucket);
  }

  removeBucket(bucket: string): void {
    removeTree(this.folderOf(bucket));
  }

  /** Objects of a bucket, by the first letter of their names, and the bytes of all. */
  contents(bucket: string): { readonly kinds: Readonly<Record<string, number>>; readonly bytes: number } {
    const kinds: Record<string, number> = {};
    let bytes = 0;
    for (const { name, path } of filesBelow(this.folderOf(bucket))) {
      const kind = name.charAt(0);
      kinds[kind] = (kinds[kind] ?? 0) + 1;
      bytes += statSync(path).size;
    }
    return { kinds, bytes };
  }

  async stop(): Promise<void> {
    process.off('exit', this.#endNow);
    await Promise.all([...this.#relays.values()].map((relay) => relay.stop()));
    await this.server.stop();
  }
}

/** A folder that is there and empty. */
export function emptyFolder(path: string): string {
  removeTree(path);
  mkdirSync(path, { recursive: true });
  return path;
}
