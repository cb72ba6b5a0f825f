// One HTTP request, one attempt, whole bodies in memory: for what no SDK does with a signal, a time limit and a bound on the
// answer. Whoever calls reads the status; what is thrown here is about the network only.
import { type Agent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { errorCode } from '../../base/errors.ts';
import { CUT_SHORT } from './blob-errors.ts';
import { createStoreAgent, type StoreAgentOptions, systemError } from './store-agent.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string | number>>;
  /** Sent one after the other. */
  readonly body?: readonly Uint8Array[];
  /** A longer answer is an error. What a server says to a refusal has a bound of its own. */
  readonly maxBodyBytes: number;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Owned by the caller. */
  readonly body: Uint8Array;
}

export interface HttpClient {
  request(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse>;
  close(): void;
}

/** Kept short so that the idle limit sees the progress of a long upload. */
const SLICE_BYTES = 256 << 10;
const MAX_REFUSAL_BYTES = 1 << 20;

export function createHttpClient(options: StoreAgentOptions): HttpClient {
  const agents = new Map<string, Agent>();
  const agentFor = (protocol: string): Agent => {
    const agent = agents.get(protocol) ?? createStoreAgent(protocol, options);
    agents.set(protocol, agent);
    return agent;
  };
  return {
    async request(request, signal) {
      signal.throwIfAborted();
      const { protocol, ...address } = addressOf(request.url);
      return new Exchange(request, agentFor(protocol), signal).run(protocol, address);
    },
    close() {
      for (const agent of agents.values()) agent.destroy();
    },
  };
}

interface Address {
  readonly hostname: string;
  readonly port: string;
  readonly path: string;
}

/** Path and query stay as they are: dots in them are names of blobs, and a signature is of what is sent. */
function addressOf(url: string): Address & { readonly protocol: string } {
  const pathAt = url.indexOf('/', url.indexOf('//') + 2);
  const { protocol, hostname, port } = new URL(pathAt < 0 ? url : url.slice(0, pathAt));
  const path = pathAt < 0 ? '/' : url.slice(pathAt);
  return { protocol, hostname: hostname.replace(/^\[(.*)\]$/, '$1'), port, path };
}

class Exchange {
  readonly #request: HttpRequest;
  readonly #agent: Agent;
  readonly #signal: AbortSignal;

  constructor(request: HttpRequest, agent: Agent, signal: AbortSignal) {
    this.#request = request;
    this.#agent = agent;
    this.#signal = signal;
  }

  run(protocol: string, address: Address): Promise<HttpResponse> {
    const { method, body = [], headers = {} } = this.#request;
    const send = protocol === 'http:' ? httpRequest : httpsRequest;
    const length = body.reduce((sum, part) => sum + part.length, 0);
    const hasBody = method !== 'GET' && method !== 'HEAD' && method !== 'DELETE';
    const all = { ...headers, ...(hasBody ? { 'content-length': length } : {}) };
    return new Promise((resolve, reject) => {
      const outgoing = send({ ...address, method, agent: this.#agent, headers: all, signal: this.#signal });
      // After an answer a failing upload no longer matters: servers refuse early.
      outgoing.on('error', (error) => reject(this.#signal.aborted ? abortReason(this.#signal) : error));
      outgoing.on('response', (incoming) => {
        this.#read(incoming).then(resolve, (error: unknown) => {
          outgoing.destroy();
          reject(this.#signal.aborted ? abortReason(this.#signal) : error);
        });
      });
      writeParts(outgoing, body);
    });
  }

  async #read(incoming: IncomingMessage): Promise<HttpResponse> {
    const { method } = this.#request;
    const { statusCode: status = 0, headers } = incoming;
    const maxBodyBytes = status < 300 ? this.#request.maxBodyBytes : MAX_REFUSAL_BYTES;
    const declared = method === 'HEAD' ? 0 : Number(headers['content-length'] ?? Number.NaN);
    if (declared > maxBodyBytes) throw tooLong(maxBodyBytes);
    const body = new Collector(declared, maxBodyBytes);
    try {
      for await (const chunk of incoming) body.add(chunk as Buffer);
    } catch (error) {
      // All that Node says of a connection that was closed too soon.
      throw errorCode(error) === 'ECONNRESET' ? cutShort() : error;
    }
    const bytes = body.bytes();
    if (declared >= 0 && bytes.length !== declared) throw cutShort();
    return { status, headers, body: bytes };
  }
}

/** What an abort rejects with, whatever reason it was given. */
function abortReason(signal: AbortSignal): unknown {
  return signal.reason;
}

function cutShort(): Error {
  return systemError(CUT_SHORT, 'the answer ended before its announced length');
}

function tooLong(maxBodyBytes: number): Error {
  return systemError('EMSGSIZE', `the answer is longer than ${maxBodyBytes} bytes`);
}

function writeParts(outgoing: ClientRequest, parts: readonly Uint8Array[]): void {
  const slices = parts.flatMap((part) => {
    const count = Math.ceil(part.length / SLICE_BYTES);
    return Array.from({ length: count }, (_, index) => part.subarray(index * SLICE_BYTES, (index + 1) * SLICE_BYTES));
  });
  const writeNext = (index: number): void => {
    const slice = slices[index];
    if (outgoing.destroyed) return;
    if (slice === undefined) outgoing.end();
    else outgoing.write(slice, (error) => (error ? undefined : writeNext(index + 1)));
  };
  writeNext(0);
}

/** Bytes of a body: straight into their place when the length is known. */
class Collector {
  readonly #whole: Uint8Array | undefined;
  readonly #chunks: Buffer[] = [];
  readonly #maxBytes: number;
  #length = 0;

  constructor(declared: number, maxBytes: number) {
    this.#whole = declared >= 0 ? new Uint8Array(Buffer.allocUnsafeSlow(declared).buffer) : undefined;
    this.#maxBytes = maxBytes;
  }

  add(chunk: Buffer): void {
    if (this.#length + chunk.length > (this.#whole?.length ?? this.#maxBytes)) throw tooLong(this.#maxBytes);
    if (this.#whole === undefined) this.#chunks.push(chunk);
    else this.#whole.set(chunk, this.#length);
    this.#length += chunk.length;
  }

  bytes(): Uint8Array {
    return this.#whole?.subarray(0, this.#length) ?? new Uint8Array(Buffer.concat(this.#chunks));
  }
}
