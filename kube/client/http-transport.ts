// Requests to one API server through one pool of connections that are kept open.
import http from 'node:http';
import https from 'node:https';
import type { Readable } from 'node:stream';
import type { Clock } from '../../base/clock.ts';
import type { Authentication, TlsOptions } from './authentication.ts';
import { KubeError, unreachable } from './kube-error.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With the query. */
  readonly path: string;
  readonly body?: string | undefined;
  readonly contentType?: string | undefined;
  /** Without a byte of an answer. */
  readonly idleMs: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Readable;
}

type Credentials = Readonly<Record<string, string>>;

const MAX_SOCKETS = 64;
const TLS_FRESH_MS = 60_000;
const KEEP_ALIVE_MS = 15_000;
/** Unused connections: below the 90 s after which the API server closes them, perhaps just when one is used again. */
const UNUSED_MS = 45_000;

export class HttpTransport {
  readonly #authentication: Authentication;
  readonly #userAgent: string;
  readonly #clock: Clock;
  readonly #isPlain: boolean;
  #agent: http.Agent | undefined;
  #tlsText = '';
  #tlsReadMs = -Infinity;
  #wasRefused = false;

  constructor(
    authentication: Authentication,
    { userAgent, clock }: { readonly userAgent: string; readonly clock: Clock },
  ) {
    this.#authentication = authentication;
    this.#userAgent = userAgent;
    this.#clock = clock;
    this.#isPlain = authentication.server.startsWith('http:');
  }

  /**
   * Resolves with the head of the answer. `KUBE_UNAVAILABLE` when none comes. What is refused because of a token that has run out
   * is asked once more with a new one, if there is one.
   */
  async request(request: HttpRequest, signal?: AbortSignal): Promise<HttpAnswer> {
    const credentials = await this.#authentication.headers(this.#wasRefused);
    const answer = await this.#ask(request, credentials, signal);
    this.#wasRefused = answer.status === 401;
    if (!this.#wasRefused) return answer;
    const renewed = await this.#authentication.headers(true);
    if (renewed['authorization'] === credentials['authorization']) return answer;
    answer.body.resume();
    const second = await this.#ask(request, renewed, signal);
    this.#wasRefused = second.status === 401;
    return second;
  }

  async #ask(request: HttpRequest, credentials: Credentials, signal: AbortSignal | undefined): Promise<HttpAnswer> {
    const { method, path } = request;
    try {
      return await this.#exchange(request, credentials, signal);
    } catch (cause) {
      if (signal?.aborted === true) throw signal.reason;
      if (cause instanceof KubeError) throw cause;
      // Perhaps the server has another certificate now, and the file that says who signs them is newer than our copy.
      this.#tlsReadMs = -Infinity;
      this.#dropUnused();
      throw unreachable(`${method} ${path.split('?')[0]}`, cause);
    }
  }

  async #exchange(
    { method, path, body, contentType, idleMs }: HttpRequest,
    credentials: Credentials,
    signal: AbortSignal | undefined,
  ): Promise<HttpAnswer> {
    const agent = await this.#currentAgent();
    const headers = {
      ...credentials,
      'user-agent': this.#userAgent,
      accept: 'application/json',
      ...(body === undefined
        ? {}
        : { 'content-type': contentType ?? 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
    };
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const options = { method, headers, agent, timeout: idleMs, ...(signal === undefined ? {} : { signal }) };
      const url = this.#authentication.server + path;
      const request = this.#isPlain ? http.request(url, options) : https.request(url, options);
      request.on('timeout', () => request.destroy(new Error(`no answer in ${Math.round(idleMs / 1000)} s`)));
      request.on('response', (response) => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: response });
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  close(): void {
    this.#agent?.destroy();
    this.#agent = undefined;
  }

  /** Where one connection has died without a word, those beside it may have too: none costs a request its time. */
  #dropUnused(): void {
    for (const sockets of Object.values(this.#agent?.freeSockets ?? {}))
      for (const socket of sockets ?? []) socket.destroy();
  }

  /** A new pool when what connections are made with has changed; what runs on the old one goes on. */
  async #currentAgent(): Promise<http.Agent> {
    const pool = { keepAlive: true, maxSockets: MAX_SOCKETS, keepAliveMsecs: KEEP_ALIVE_MS, timeout: UNUSED_MS };
    if (this.#isPlain) return (this.#agent ??= new http.Agent(pool));
    const nowMs = this.#clock.monotonicMs();
    if (this.#agent !== undefined && !this.#wasRefused && nowMs - this.#tlsReadMs < TLS_FRESH_MS) return this.#agent;
    const tls = definedOnly(await this.#authentication.tls());
    this.#tlsReadMs = nowMs;
    const text = JSON.stringify(tls, (_key, value: unknown) =>
      Buffer.isBuffer(value) ? value.toString('base64') : value,
    );
    // What runs on the old one ends there; its unused connections are closed when their time is over.
    if (this.#agent === undefined || text !== this.#tlsText) this.#agent = new https.Agent({ ...pool, ...tls });
    this.#tlsText = text;
    return this.#agent;
  }
}

function definedOnly(options: TlsOptions): TlsOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as TlsOptions;
}
