// A proxy on loopback between us and a server: adds latency, bounds the rate, counts what passes, and fails as planned. It
// speaks HTTP/1.1, with TLS where it is given a certificate, and forwards heads as they are, signatures and `Host` included.
import { once } from 'node:events';
import {
  Agent,
  createServer,
  request as httpRequest,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http';
import {
  Agent as TlsAgent,
  createServer as createTlsServer,
  request as httpsRequest,
  Server as TlsServer,
} from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { type Fault, type FaultPlan, FaultPlans, type ProxiedRequest, type Verb, verbOf } from './proxy-faults.ts';

export interface FaultProxyOptions {
  /** Of the server: `http://127.0.0.1:7070`. */
  readonly target: string;
  /** PEM, for a target that speaks TLS: who signed its certificate. */
  readonly targetCa?: string;
  /** PEM: the proxy speaks TLS. A client's certificate is lost on the way; its other credentials pass. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Where it listens; default loopback. */
  readonly host?: string;
  readonly port?: number;
  /** One turn there and back: once a request, once more for a new connection, once more where the client asks whether to go on. */
  readonly latencyMs?: number;
  /** Bytes a second of all bodies together, each way. */
  readonly bytesPerSecond?: number;
}

export interface ProxyStats {
  readonly requests: Record<Verb, number>;
  bytesUp: number;
  bytesDown: number;
}

type BodyFault = Extract<Fault, { readonly atByte: number }>;

const newStats = (): ProxyStats => ({
  requests: { get: 0, head: 0, put: 0, list: 0, delete: 0, other: 0 },
  bytesUp: 0,
  bytesDown: 0,
});

export class FaultProxy {
  latencyMs: number;
  /** Sees each request as it arrives, with the port that its connection comes from. */
  onRequest: ((request: ProxiedRequest & { readonly clientPort: number | undefined }) => void) | undefined;
  stats = newStats();
  readonly #target: URL;
  readonly #plans = new FaultPlans();
  readonly #agent: Agent;
  readonly #known = new WeakSet<Socket>();
  /** What accepts, without TLS. */
  readonly #sockets = new Set<Socket>();
  readonly #frozen = new WeakSet<Socket>();
  readonly #answers = new Map<IncomingMessage, ServerResponse>();
  readonly #server: Server;
  readonly #paces: { readonly up: Pace; readonly down: Pace };

  private constructor(options: FaultProxyOptions) {
    this.#target = new URL(options.target);
    const pooled = { keepAlive: true, maxSockets: Infinity };
    this.#agent = this.#isTlsTarget ? new TlsAgent({ ...pooled, ca: options.targetCa }) : new Agent(pooled);
    this.latencyMs = options.latencyMs ?? 0;
    this.#paces = { up: new Pace(options.bytesPerSecond), down: new Pace(options.bytesPerSecond) };
    // A server's own limits would be faults that nobody planned.
    const limits = { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 600_000, noDelay: true };
    const { tls } = options;
    this.#server = tls === undefined ? createServer(limits) : createTlsServer({ ...limits, ...tls });
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.#sockets.delete(socket));
    });
    const serve = (asksFirst: boolean) => (request: IncomingMessage, response: ServerResponse) =>
      void this.#serve(request, response, asksFirst).catch(() => request.socket.destroy());
    this.#server.on('request', serve(false));
    this.#server.on('checkContinue', serve(true));
  }

  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options);
    proxy.#server.listen(options.port ?? 0, options.host ?? '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url(): string {
    const protocol = this.#server instanceof TlsServer ? 'https' : 'http';
    return `${protocol}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`; // it listens on TCP
  }

  /** Half-open from now on: nothing passes any more on the connections that there are, which stay; new ones work. */
  freezeConnections(): number {
    for (const socket of this.#sockets) this.#frozen.add(socket);
    for (const [answer, response] of this.#answers) answer.unpipe(response).pause();
    return this.#sockets.size;
  }

  /** Resets every connection. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  plan(...plans: readonly FaultPlan[]): void {
    for (const plan of plans) this.#plans.add(plan);
  }

  clear(): number[] {
    return this.#plans.clear();
  }

  /** Faults that were planned and not met. */
  unmet(): string[] {
    return this.#plans.unmet();
  }

  resetStats(): void {
    this.stats = newStats();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#agent.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  get #isTlsTarget(): boolean {
    return this.#target.protocol === 'https:';
  }

  async #serve(request: IncomingMessage, response: ServerResponse, asksFirst: boolean): Promise<void> {
    const { method = 'GET', url = '/', headers } = request;
    const socket = rawSocket(request.socket);
    if (this.#frozen.has(socket)) return void request.resume();
    const proxied: ProxiedRequest = { method, path: url, verb: verbOf(method, url), headers };
    this.stats.requests[proxied.verb]++;
    this.onRequest?.({ ...proxied, clientPort: socket.remotePort });
    const fault = this.#plans.take(proxied);
    if (fault?.kind === 'refuse') return void socket.resetAndDestroy();
    if (fault?.kind === 'silence') return void request.resume();
    await this.#wait(socket);
    if (fault?.kind === 'answer') return answerInstead(proxied, fault, request, response);
    if (asksFirst) {
      response.writeContinue();
      await this.#wait(socket);
    }
    await this.#forward(request, response, fault);
  }

  async #forward(request: IncomingMessage, response: ServerResponse, fault: Fault | undefined): Promise<void> {
    const socket = rawSocket(request.socket);
    const upstream = this.#ask(request);
    upstream.on('error', () => socket.destroy());
    // The client may leave before the store has answered.
    response.on('close', () => upstream.destroy());
    const answered = once(upstream, 'response') as Promise<[IncomingMessage]>;
    const countUp = (bytes: number): void => void (this.stats.bytesUp += bytes);
    const up = new BodyMove(request, upstream, socket, this.#paces.up, bodyFault(fault, 'request'), countUp);
    // A store may answer before it has read everything.
    void up.run().catch(() => socket.destroy());
    const [answer] = await answered;
    if (fault?.kind === 'lose-answer') {
      await drained(answer);
      return void socket.resetAndDestroy();
    }
    response.writeHead(answer.statusCode ?? 502, changedHeaders(answer.headers, fault));
    // A watch may have nothing to say for long.
    response.flushHeaders();
    this.#answers.set(answer, response);
    response.on('close', () => this.#answers.delete(answer));
    if (this.#frozen.has(socket)) return;
    const countDown = (bytes: number): void => void (this.stats.bytesDown += bytes);
    await new BodyMove(answer, response, socket, this.#paces.down, bodyFault(fault, 'response'), countDown).run();
  }

  async #wait(socket: Socket): Promise<void> {
    if (this.latencyMs === 0) return;
    const turns = this.#known.has(socket) ? 1 : 2;
    this.#known.add(socket);
    await delay(this.latencyMs * turns);
  }

  #ask(request: IncomingMessage): ClientRequest {
    const { expect: _expect, connection: _connection, ...headers } = request.headers;
    const { hostname, port } = this.#target;
    const ask = this.#isTlsTarget ? httpsRequest : httpRequest;
    return ask({ agent: this.#agent, hostname, port, method: request.method, path: request.url, headers });
  }
}

/** What carries it: only that can be reset. */
function rawSocket(socket: Socket): Socket {
  return (socket as { readonly _parent?: Socket })._parent ?? socket; // Node keeps it there and says so nowhere
}

/** The rate that all bodies of one direction share. */
class Pace {
  readonly #bytesPerSecond: number | undefined;
  #freeAtMs = 0;

  constructor(bytesPerSecond: number | undefined) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  get isBounded(): boolean {
    return this.#bytesPerSecond !== undefined;
  }

  async pass(bytes: number): Promise<void> {
    if (this.#bytesPerSecond === undefined) return;
    const nowMs = performance.now();
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs) + (bytes / this.#bytesPerSecond) * 1000;
    const waitMs = this.#freeAtMs - nowMs;
    if (waitMs > 1) await delay(waitMs);
  }
}

/** Moves one body until its end or its fault. */
class BodyMove {
  readonly #from: Readable;
  readonly #to: Writable;
  readonly #client: Socket;
  readonly #pace: Pace;
  readonly #fault: BodyFault | undefined;
  readonly #count: (bytes: number) => void;
  #at = 0;

  constructor(
    from: Readable,
    to: Writable,
    client: Socket,
    pace: Pace,
    fault: BodyFault | undefined,
    count: (bytes: number) => void,
  ) {
    this.#from = from;
    this.#to = to;
    this.#client = client;
    this.#pace = pace;
    this.#fault = fault;
    this.#count = count;
  }

  async run(): Promise<void> {
    if (this.#fault === undefined && !this.#pace.isBounded) {
      // The way that costs least: the proxy must not be what is measured.
      this.#from.on('data', (chunk: Buffer) => this.#count(chunk.length));
      this.#from.on('error', () => this.#client.destroy());
      this.#from.pipe(this.#to);
      return;
    }
    for await (const chunk of this.#from as AsyncIterable<Buffer>) {
      const strikesAt = (this.#fault?.atByte ?? Infinity) - this.#at;
      this.#at += chunk.length;
      const isStruck = strikesAt >= 0 && strikesAt < chunk.length;
      if (isStruck && (await this.#strike(chunk, strikesAt))) return;
      if (!isStruck) await this.#put(chunk);
      if (this.#to.destroyed) return;
    }
    this.#to.end();
  }

  async #put(bytes: Buffer): Promise<void> {
    this.#count(bytes.length);
    await this.#pace.pass(bytes.length);
    if (!this.#to.write(bytes)) await drainOrEnd(this.#to);
  }

  /** True when nothing of the body follows. */
  async #strike(chunk: Buffer, at: number): Promise<boolean> {
    const kind = this.#fault?.kind;
    if (kind === 'corrupt-response') {
      const changed = Buffer.from(chunk);
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      await this.#put(changed);
      return false;
    }
    if (at > 0) {
      await this.#put(chunk.subarray(0, at));
      // Until it is on its way: a reset would take what still waits.
      await delay(20);
    }
    if (kind === 'short-response') this.#to.end();
    else if (kind === 'cut-response') this.#client.end();
    else if (kind === 'reset-response' || kind === 'reset-request') this.#client.resetAndDestroy();
    else await once(this.#client, 'close'); // a stall lasts until the client goes
    this.#from.resume().destroy();
    return true;
  }
}

/** Takes the body first: a client that is still sending would see a reset in place of the answer. */
async function answerInstead(
  proxied: ProxiedRequest,
  fault: Extract<Fault, { readonly kind: 'answer' }>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.headers.expect === undefined) await drained(request);
  const { status, headers = {}, body = '' } = typeof fault.answer === 'function' ? fault.answer(proxied) : fault.answer;
  response.writeHead(status, { ...headers, 'content-length': String(Buffer.byteLength(body)) });
  response.end(proxied.method === 'HEAD' ? undefined : body);
}

function drainOrEnd(to: Writable): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      to.off('drain', go).off('close', go);
      resolve();
    };
    to.on('drain', go).on('close', go);
  });
}

async function drained(stream: Readable): Promise<void> {
  if (stream.readableEnded) return;
  stream.resume();
  await once(stream, 'end');
}

function bodyFault(fault: Fault | undefined, side: 'request' | 'response'): BodyFault | undefined {
  return fault !== undefined && 'atByte' in fault && fault.kind.endsWith(side) ? fault : undefined;
}

function changedHeaders(headers: IncomingHttpHeaders, fault: Fault | undefined): OutgoingHttpHeaders {
  const { connection: _connection, 'keep-alive': _keepAlive, ...kept } = headers;
  if (fault?.kind === 'headers') {
    const changed = { ...kept, ...fault.headers };
    return Object.fromEntries(Object.entries(changed).filter(([, value]) => value !== undefined));
  }
  const length = kept['content-length'];
  if (fault?.kind !== 'short-response' || length === undefined) return kept;
  return { ...kept, 'content-length': String(Math.min(fault.atByte, Number(length))) };
}
