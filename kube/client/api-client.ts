// The port over HTTP: paths, queries and bodies of the Kubernetes API.
import type { Readable } from 'node:stream';
import { text as readText } from 'node:stream/consumers';
import type { Clock } from '../../base/clock.ts';
import {
  apiVersionOf,
  type Draft,
  type Kind,
  type KubeObject,
  type ObjectList,
  type ObjectName,
} from '../api/object.ts';
import type { HttpAnswer, HttpRequest, HttpTransport } from './http-transport.ts';
import type { DeleteOptions, KubeClient, ListOptions, Selection, WatchEvent, WatchOptions } from './kube-client.ts';
import { KubeError, refused, unreachable } from './kube-error.ts';
import { watchEvents } from './watch-stream.ts';

/** How long a connection may say nothing before it is given up: one that died without a word is found by it. */
export interface IdleLimits {
  /** The API server itself ends ordinary requests after a minute. */
  readonly requestMs: number;
  /** Of a watch: bookmarks come about once a minute. */
  readonly watchMs: number;
}

export const IDLE_LIMITS: IdleLimits = { requestMs: 60_000, watchMs: 150_000 };
/** Longer waits are for whoever asked. */
const MOMENT_MS = 5000;
const MAX_MOMENTS = 5;
const NEVER = new AbortController().signal;
const MERGE_PATCH = 'application/merge-patch+json';

export class ApiClient implements KubeClient {
  readonly #transport: HttpTransport;
  readonly #clock: Pick<Clock, 'sleep'>;
  readonly #idle: IdleLimits;

  constructor(transport: HttpTransport, clock: Pick<Clock, 'sleep'>, idle: IdleLimits = IDLE_LIMITS) {
    this.#transport = transport;
    this.#clock = clock;
    this.#idle = idle;
  }

  async get<T extends KubeObject>(kind: Kind<T>, name: ObjectName, signal?: AbortSignal): Promise<T> {
    return this.#call({ method: 'GET', path: objectPath(kind, name) }, signal);
  }

  async list<T extends KubeObject>(kind: Kind<T>, options: ListOptions, signal?: AbortSignal): Promise<ObjectList<T>> {
    const { limit, continueToken, resourceVersion } = options;
    const query = { ...selectionQuery(options), limit, continue: continueToken, resourceVersion };
    const path = withQuery(collectionPath(kind, options.namespace), query);
    const list = await this.#call<RawList<T>>({ method: 'GET', path }, signal);
    // Items of a list do not say what they are.
    const items = (list.items ?? []).map((item) => ({ ...item, apiVersion: apiVersionOf(kind), kind: kind.kind }));
    const { resourceVersion: listed = '', continue: next = '' } = list.metadata;
    return { items, resourceVersion: listed, continueToken: next === '' ? undefined : next };
  }

  async *watch<T extends KubeObject>(
    kind: Kind<T>,
    options: WatchOptions,
    signal: AbortSignal,
  ): AsyncGenerator<WatchEvent<T>, void> {
    const { resourceVersion, timeoutSeconds, onOpened } = options;
    const from =
      resourceVersion === undefined
        ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }
        : { resourceVersion };
    const query = {
      ...selectionQuery(options),
      watch: 'true',
      allowWatchBookmarks: 'true',
      ...from,
      timeoutSeconds,
    };
    const path = withQuery(collectionPath(kind, options.namespace), query);
    const { body } = await this.#send({ method: 'GET', path, idleMs: this.#idle.watchMs }, signal);
    onOpened?.();
    yield* watchEvents<T>(body, `watch of ${kind.plural}`, signal);
  }

  async create<T extends KubeObject>(kind: Kind<T>, object: Draft<T>, signal?: AbortSignal): Promise<T> {
    const body = JSON.stringify({ apiVersion: apiVersionOf(kind), kind: kind.kind, ...object });
    return this.#call({ method: 'POST', path: collectionPath(kind, object.metadata.namespace), body }, signal);
  }

  async replace<T extends KubeObject>(kind: Kind<T>, object: T, signal?: AbortSignal): Promise<T> {
    return this.#call({ method: 'PUT', path: objectPath(kind, object.metadata), body: JSON.stringify(object) }, signal);
  }

  async patch<T extends KubeObject>(
    kind: Kind<T>,
    name: ObjectName,
    mergePatch: object,
    signal?: AbortSignal,
  ): Promise<T> {
    const body = JSON.stringify(mergePatch);
    return this.#call({ method: 'PATCH', path: objectPath(kind, name), body, contentType: MERGE_PATCH }, signal);
  }

  async delete(
    kind: Kind<KubeObject>,
    name: ObjectName,
    { uid, ...options }: DeleteOptions = {},
    signal?: AbortSignal,
  ): Promise<void> {
    const body = JSON.stringify({
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      ...options,
      ...(uid === undefined ? {} : { preconditions: { uid } }),
    });
    await this.#call({ method: 'DELETE', path: objectPath(kind, name), body }, signal);
  }

  close(): Promise<void> {
    this.#transport.close();
    return Promise.resolve();
  }

  async #call<Result>(request: Omit<HttpRequest, 'idleMs'>, signal?: AbortSignal): Promise<Result> {
    const { body } = await this.#send({ ...request, idleMs: this.#idle.requestMs }, signal);
    return parseJson<Result>(await readAll(body, nameOf(request), signal), nameOf(request));
  }

  /** A server that asks to come back in a moment, as it does while it makes a kind ready, has done nothing yet: it is asked again. */
  async #send(request: HttpRequest, signal?: AbortSignal): Promise<HttpAnswer> {
    for (let asked = 1; ; asked++) {
      try {
        return await this.#sendOnce(request, signal);
      } catch (error) {
        const waitMs = error instanceof KubeError ? error.retryAfterMs : undefined;
        if (waitMs === undefined || waitMs > MOMENT_MS || asked > MAX_MOMENTS) throw error;
        await this.#clock.sleep(waitMs, signal ?? NEVER).catch(() => undefined);
        signal?.throwIfAborted();
      }
    }
  }

  async #sendOnce(request: HttpRequest, signal?: AbortSignal): Promise<HttpAnswer> {
    const answer = await this.#transport.request(request, signal);
    if (answer.status >= 200 && answer.status < 300) return answer;
    const body = await readAll(answer.body, nameOf(request), signal);
    throw refused(nameOf(request), { status: answer.status, body, retryAfter: answer.headers['retry-after'] });
  }
}

interface RawList<T> {
  readonly items: readonly T[] | null;
  readonly metadata: { readonly resourceVersion?: string; readonly continue?: string };
}

async function readAll(body: Readable, what: string, signal?: AbortSignal): Promise<string> {
  try {
    return await readText(body);
  } catch (cause) {
    throw signal?.aborted === true ? signal.reason : unreachable(what, cause);
  }
}

function parseJson<Result>(text: string, what: string): Result {
  try {
    return JSON.parse(text) as Result; // the API's own promise
  } catch (cause) {
    // Whatever stands before the server has spoken in its place.
    throw unreachable(what, cause);
  }
}

function nameOf({ method, path }: Pick<HttpRequest, 'method' | 'path'>): string {
  return `${method} ${path.split('?')[0]}`;
}

function collectionPath({ group, version, plural, namespaced }: Kind<KubeObject>, namespace?: string): string {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const inNamespace = namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${inNamespace}/${plural}`;
}

function objectPath(kind: Kind<KubeObject>, { namespace, name }: ObjectName): string {
  return `${collectionPath(kind, namespace)}/${encodeURIComponent(name)}`;
}

function selectionQuery({ labelSelector, fieldSelector }: Selection): Query {
  return { labelSelector, fieldSelector };
}

type Query = Readonly<Record<string, string | number | undefined>>;

function withQuery(path: string, query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  const text = parameters.toString();
  return text === '' ? path : `${path}?${text}`;
}
