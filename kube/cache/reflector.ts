// Keeps what a cluster has of one kind: lets the server tell of all there is and then of what happens, in one stream (KEP-3157), or
// lists it in pages and watches it from there where the server cannot, and begins again for ever, whatever fails.
//
// The stream is for large clusters that start at once: a thousand agents that list twenty thousand objects in pages wait so long for
// each page that the server has forgotten the first before the last is asked for.
// Listeners hear that something has changed; decisions are made from the store, not from what was heard.
import type { Clock } from '../../base/clock.ts';
import { errorCode, hasCode } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { RandomSource } from '../../base/random.ts';
import { type Kind, type KubeObject, objectKey } from '../api/object.ts';
import type { KubeClient, Selection } from '../client/kube-client.ts';
import { KubeError } from '../client/kube-error.ts';
import { Backoff } from '../../base/backoff.ts';
import { ObjectStore, type Store } from './store.ts';

export interface ReflectorOptions<T extends KubeObject> extends Selection {
  readonly client: KubeClient;
  readonly kind: Kind<T>;
  /** What is kept of an object: less of those that matter less. */
  readonly transform?: (object: T) => T;
  /** Listeners are told of every object again so often, for what they may have missed; default never. */
  readonly resyncMs?: number;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
}

export type ChangeListener<T> = (key: string, now: T | undefined, before: T | undefined) => void;

const PAGE_OBJECTS = 500;
/** As client-go: watches of many clients do not all end at once. */
const WATCH_SECONDS = 300;
/** A watch that ends sooner, without an event, has not worked. */
const SHORTEST_WATCH_MS = 1000;
/** After so many a list is tried. */
const BROKEN_STREAMS = 3;
const BACKOFF = { firstMs: 800, maxMs: 30_000 };

export class Reflector<T extends KubeObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #store = new ObjectStore<T>();
  readonly #listeners: ChangeListener<T>[] = [];
  readonly #backoff: Backoff;
  readonly #synced = Promise.withResolvers<void>();
  /** Where to watch from; undefined: all there is comes first. */
  #resourceVersion: string | undefined;
  #isHealthy = false;
  /** Until the server says that it cannot. */
  #canStream = true;
  /** The last stream was ended before it had told all: a list may get through. */
  #isListNext = false;
  /** Streams that have broken before they had told all, since the last that had. */
  #brokenStreams = 0;
  /** Pages are for servers that keep what the first of them saw until the last: where one did not, the list is asked for whole. */
  #isPaging = true;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF, options.random);
  }

  get store(): Store<T> {
    return this.#store;
  }

  /** Did the last list or watch get through? */
  get isHealthy(): boolean {
    return this.#isHealthy;
  }

  /** Called for every change, in order. A listener must not throw and not take long: it enqueues a name. */
  onChange(listener: ChangeListener<T>): void {
    this.#listeners.push(listener);
  }

  /** Resolves when the first list is in the store. */
  async whenSynced(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([this.#synced.promise, promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Until the signal aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#follow(signal), this.#resync(signal)]);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#isToList) this.#resourceVersion = await this.#list(signal);
        await this.#watch(this.#resourceVersion, signal);
      } catch (error) {
        if (signal.aborted) return;
        await this.#recover(error, signal);
      }
    }
  }

  get #isToList(): boolean {
    return this.#resourceVersion === undefined && (this.#isListNext || !this.#canStream);
  }

  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    const { kind, logger, clock } = this.#options;
    if (this.#resourceVersion === undefined && !this.#isToList) {
      if (hasCode(error, 'KUBE_INVALID')) {
        this.#canStream = false;
        return;
      }
      // What stands between may never let one of that length through.
      this.#isListNext = ++this.#brokenStreams % BROKEN_STREAMS === 0;
    }
    if (hasCode(error, 'KUBE_GONE')) {
      // What was missed cannot be told any more: from the beginning, at once if it was a watch that had worked.
      if (this.#resourceVersion === undefined) this.#isPaging = false;
      this.#resourceVersion = undefined;
      if (this.#backoff.failures === 0) return void this.#backoff.nextMs();
    }
    this.#isHealthy = false;
    const asked = error instanceof KubeError ? (error.retryAfterMs ?? 0) : 0;
    const delayMs = Math.max(asked, this.#backoff.nextMs());
    logger.warn('the API server does not answer as it should; trying again', {
      kind: kind.kind,
      code: errorCode(error) ?? 'UNKNOWN',
      error: error instanceof Error ? error.message : String(error),
      delayMs: Math.round(delayMs),
    });
    await clock.sleep(delayMs, signal).catch(() => undefined);
  }

  /** Replaces the store by what there is now, telling of every difference. */
  async #list(signal: AbortSignal): Promise<string> {
    const { client, kind } = this.#options;
    const seen = new Set<string>();
    let continueToken: string | undefined;
    this.#isListNext = false;
    for (;;) {
      const limit = this.#isPaging ? { limit: PAGE_OBJECTS } : {};
      const page = await client.list(kind, { ...this.#selection(), ...limit, continueToken }, signal);
      for (const object of page.items) {
        seen.add(objectKey(object.metadata));
        this.#keep(object);
      }
      continueToken = page.continueToken;
      if (continueToken === undefined) {
        this.#isPaging = true;
        this.#seenAll(seen);
        return page.resourceVersion;
      }
    }
  }

  /** Without a `resourceVersion` the first events are of all there is. */
  async #watch(resourceVersion: string | undefined, signal: AbortSignal): Promise<void> {
    const { client, kind, random, clock } = this.#options;
    const jitter = (random.bytes(1)[0] ?? 0) / 255;
    const timeoutSeconds = Math.round(WATCH_SECONDS * (1 + jitter));
    const startedMs = clock.monotonicMs();
    // Of what there is, while the server still tells of it.
    let seen = resourceVersion === undefined ? new Set<string>() : undefined;
    const onOpened = (): void => void (this.#isHealthy ||= seen === undefined);
    const options = { ...this.#selection(), resourceVersion, timeoutSeconds, onOpened };
    let hasWorked = false;
    for await (const event of client.watch(kind, options, signal)) {
      hasWorked = true;
      if (event.type === 'BOOKMARK') {
        if (seen !== undefined && event.isAll) {
          this.#seenAll(seen);
          seen = undefined;
          this.#resourceVersion = event.resourceVersion;
          // As after a list: only what comes next shows that a watch works, and resets the back-off.
          continue;
        }
        if (seen === undefined) this.#resourceVersion = event.resourceVersion;
      } else {
        const key = objectKey(event.object.metadata);
        if (event.type === 'DELETED') this.#delete(key);
        else this.#keep(event.object);
        seen?.add(key);
        if (seen === undefined) this.#resourceVersion = event.object.metadata.resourceVersion;
      }
      if (seen === undefined) this.#markHealthy();
    }
    if (seen !== undefined) {
      this.#isListNext = true;
      throw new KubeError('KUBE_UNAVAILABLE', `watch of ${kind.plural}: it ended before all there is had been told`);
    }
    if (!hasWorked && clock.monotonicMs() - startedMs < SHORTEST_WATCH_MS)
      throw new KubeError('KUBE_UNAVAILABLE', `watch of ${kind.plural}: the API server ends it at once`);
    this.#markHealthy();
  }

  /** What is in the store and was not among all there is has gone. */
  #seenAll(seen: ReadonlySet<string>): void {
    for (const key of this.#store.keys()) if (!seen.has(key)) this.#delete(key);
    this.#synced.resolve();
    this.#isHealthy = true;
    this.#brokenStreams = 0;
  }

  async #resync(signal: AbortSignal): Promise<void> {
    const { clock, resyncMs } = this.#options;
    if (resyncMs === undefined) return;
    while (!signal.aborted) {
      await clock.sleep(resyncMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      for (const object of this.#store.list()) this.#tell(objectKey(object.metadata), object, object);
    }
  }

  #markHealthy(): void {
    this.#isHealthy = true;
    this.#backoff.reset();
  }

  #selection(): Selection {
    const { namespace, labelSelector, fieldSelector } = this.#options;
    return { namespace, labelSelector, fieldSelector };
  }

  /** One object that is not as its kind should be is left out: the others must not wait for somebody to mend it. */
  #keep(object: T): void {
    const { transform, kind, logger } = this.#options;
    let kept = object;
    try {
      if (transform !== undefined) kept = transform(object);
    } catch (error) {
      const key = objectKey(object.metadata);
      logger.error('an object cannot be used', { kind: kind.kind, key, error: String(error) });
      this.#delete(key);
      return;
    }
    this.#set(kept);
  }

  #set(object: T): void {
    const before = this.#store.set(object);
    if (before?.metadata.resourceVersion === object.metadata.resourceVersion) return;
    // Deleted and made anew while nobody looked: two changes to whoever compares.
    const isSame = before === undefined || before.metadata.uid === object.metadata.uid;
    if (!isSame) this.#tell(objectKey(object.metadata), undefined, before);
    this.#tell(objectKey(object.metadata), object, isSame ? before : undefined);
  }

  #delete(key: string): void {
    const before = this.#store.delete(key);
    if (before !== undefined) this.#tell(key, undefined, before);
  }

  #tell(key: string, now: T | undefined, before: T | undefined): void {
    for (const listener of this.#listeners) {
      try {
        listener(key, now, before);
      } catch (error) {
        // The others must hear of it all the same, and the store must not fall behind.
        this.#options.logger.error('a listener failed', { key, error: error instanceof Error ? error.message : error });
      }
    }
  }
}
