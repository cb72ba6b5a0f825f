// One of many: whoever holds a Lease works, the others wait. How long a lease has been quiet is measured by our own clock from when
// we saw it change, never by another machine's time stamps.
import type { Clock } from '../../base/clock.ts';
import { errorCode, hasCode } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Lease } from '../api/core.ts';
import { KINDS } from '../api/kinds.ts';
import type { ObjectName } from '../api/object.ts';
import type { KubeClient } from '../client/kube-client.ts';
import { KubeError } from '../client/kube-error.ts';
import { guarded } from './update.ts';

export interface LeaderOptions {
  readonly client: KubeClient;
  readonly lease: ObjectName;
  /** Of this process, unlike any other's. */
  readonly identity: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Others take over when the lease has been quiet for so long. */
  readonly leaseMs?: number;
  /** Work ends when the lease could not be renewed for so long: well before the others begin. */
  readonly renewMs?: number;
  readonly retryMs?: number;
}

const LEASE_MS = 15_000;
const RENEW_MS = 10_000;
const RETRY_MS = 2_000;

/**
 * Runs `work` while this process is the leader. Its signal aborts when the lease is lost; it must end then. Resolves when `signal`
 * aborts, with the lease given back; rejects with what `work` throws, and with `KUBE_LEASE_LOST` when the lease was lost: the process
 * should end, for nobody knows what is half done.
 */
export async function runAsLeader(
  options: LeaderOptions,
  work: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const holder = new LeaseHolder(options);
  if (!(await holder.acquire(signal))) return;
  options.logger.info('leading', { lease: options.lease.name, identity: options.identity });
  const lost = new AbortController();
  const working = work(AbortSignal.any([signal, lost.signal]));
  const over = new AbortController();
  const renewing = holder.renewUntilLost(AbortSignal.any([signal, over.signal])).then((isLost) => {
    if (isLost) lost.abort(new DOMException('the lease is lost', 'AbortError'));
  });
  try {
    await working;
  } catch (error) {
    if (!lost.signal.aborted && !signal.aborted) throw error;
  } finally {
    over.abort();
    await renewing;
  }
  if (lost.signal.aborted)
    throw new KubeError('KUBE_LEASE_LOST', `the lease ${options.lease.name} could not be renewed in time`);
  await holder.release();
}

class LeaseHolder {
  readonly #options: LeaderOptions;
  #seen: { readonly text: string; readonly atMs: number } | undefined;

  constructor(options: LeaderOptions) {
    this.#options = options;
  }

  /** False when the signal aborted first. */
  async acquire(signal: AbortSignal): Promise<boolean> {
    const { clock, retryMs = RETRY_MS } = this.#options;
    while (!signal.aborted) {
      if (await this.#try(signal)) return true;
      await clock.sleep(retryMs, signal).catch(() => undefined);
    }
    return false;
  }

  /** True when the lease is lost, false when the signal aborts first. */
  async renewUntilLost(signal: AbortSignal): Promise<boolean> {
    const { clock, retryMs = RETRY_MS, renewMs = RENEW_MS } = this.#options;
    let renewedMs = clock.monotonicMs();
    for (;;) {
      await clock.sleep(retryMs, signal).catch(() => undefined);
      if (signal.aborted) return false;
      const begunMs = clock.monotonicMs();
      // A request that hangs must not keep us leading.
      const deadline = AbortSignal.timeout(Math.max(1, Math.ceil(renewMs - (begunMs - renewedMs))));
      if (await this.#try(AbortSignal.any([signal, deadline]))) renewedMs = begunMs;
      else if (clock.monotonicMs() - renewedMs >= renewMs) return !signal.aborted;
    }
  }

  async release(): Promise<void> {
    const { client, lease, identity } = this.#options;
    try {
      const now = await client.get(KINDS.lease, lease);
      if (now.spec?.holderIdentity !== identity) return;
      await client.patch(KINDS.lease, lease, guarded({ spec: { holderIdentity: '' } }, now.metadata.resourceVersion));
    } catch (error) {
      // It runs out by itself.
      this.#options.logger.debug('the lease could not be given back', { code: errorCode(error) });
    }
  }

  async #try(signal: AbortSignal): Promise<boolean> {
    const { client, lease, identity, logger } = this.#options;
    try {
      const now = await client.get(KINDS.lease, lease, signal);
      if (!this.#mayTake(now)) return false;
      const isOurs = now.spec?.holderIdentity === identity;
      const transitions = (now.spec?.leaseTransitions ?? 0) + (isOurs ? 0 : 1);
      const spec = { ...this.#spec(!isOurs), leaseTransitions: transitions };
      await client.patch(KINDS.lease, lease, guarded({ spec }, now.metadata.resourceVersion), signal);
      return true;
    } catch (error) {
      if (hasCode(error, 'KUBE_NOT_FOUND')) return await this.#create(signal);
      if (!hasCode(error, 'KUBE_CONFLICT') && !signal.aborted)
        logger.warn('the lease cannot be taken or renewed', { lease: lease.name, code: errorCode(error) });
      return false;
    }
  }

  async #create(signal: AbortSignal): Promise<boolean> {
    const { client, lease } = this.#options;
    const { name, namespace } = lease;
    try {
      const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
      await client.create(KINDS.lease, { metadata, spec: { ...this.#spec(true), leaseTransitions: 0 } }, signal);
      return true;
    } catch {
      return false; // somebody else has made it, or the server does not answer: the next try sees
    }
  }

  #mayTake({ metadata, spec }: Lease): boolean {
    const { clock, identity, leaseMs = LEASE_MS } = this.#options;
    const { holderIdentity = '' } = spec ?? {};
    const nowMs = clock.monotonicMs();
    const text = metadata.resourceVersion;
    if (this.#seen?.text !== text) this.#seen = { text, atMs: nowMs };
    return holderIdentity === identity || holderIdentity === '' || nowMs - this.#seen.atMs >= leaseMs;
  }

  #spec(isTaken: boolean): NonNullable<Lease['spec']> {
    const { clock, identity, leaseMs = LEASE_MS } = this.#options;
    const now = new Date(clock.nowMs()).toISOString().replace(/Z$/, '000Z');
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseMs / 1000),
      renewTime: now,
      ...(isTaken ? { acquireTime: now } : {}),
    };
  }
}
