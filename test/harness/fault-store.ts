// A store that the fault matrix is tried on: a real server, the proxy before it, and the words in which that kind of store
// refuses.
import type { BlobStorage } from '../../repo-format/blob/storage.ts';
import type { FaultProxy } from './fault-proxy.ts';
import type { Answer } from './proxy-faults.ts';

export interface OpenLimits {
  /** Without a byte in either direction. */
  readonly idleTimeoutMs?: number;
  readonly connectTimeoutMs?: number;
}

/** An adapter; some refresh their credentials when asked to, the others by themselves. */
export type Adapter = BlobStorage & { readonly refreshCredentials?: (signal: AbortSignal) => Promise<void> };

export interface FaultStore {
  readonly proxy: FaultProxy;
  createBucket(): Promise<string>;
  /** The bucket with all that is in it. */
  deleteBucket(bucket: string): Promise<void>;
  /** Through the proxy, without wrappers. */
  open(bucket: string, prefix: string, limits?: OpenLimits): Promise<Adapter>;
  /** Past the proxy, or at another server. */
  openDirectly(bucket: string, prefix: string, server?: string, limits?: OpenLimits): Promise<Adapter>;
  /** An object that is no blob of ours, at a key as it is. */
  putObject(bucket: string, key: string, bytes: Uint8Array): Promise<void>;
  readonly answers: StoreAnswers;
  stop(): Promise<void>;
}

export interface StoreAnswers {
  busy(retryAfterSeconds?: number): Answer;
  readonly expired: Answer;
  readonly denied: Answer;
  /** Where a store of this kind looks at clocks. */
  readonly skewed?: Answer;
}

export const SERVERS = ['versitygw', 'azurite', 'fake-gcs'] as const;
export type ServerName = (typeof SERVERS)[number];
