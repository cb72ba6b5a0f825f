// Connections to an object store that cannot hang: whoever neither connects in time nor moves a byte for a while is cut off.
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { getCACertificates } from 'node:tls';

export interface StoreAgentOptions {
  /** Trusted beside the usual authorities, PEM. */
  readonly caCertPem?: string | undefined;
  /** The location says so; whoever opens the store says so to the person. */
  readonly insecureSkipTlsVerify?: boolean | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** Without a byte in either direction for this long a connection is dead. */
  readonly idleTimeoutMs?: number | undefined;
}

export const CONNECT_TIMEOUT_MS = 10_000;
export const IDLE_TIMEOUT_MS = 60_000;
/** More than any command has under way: who waits for a connection has no time limit of its own. */
const MAX_SOCKETS = 256;

export function createStoreAgent(protocol: string, options: StoreAgentOptions): HttpAgent {
  const { connectTimeoutMs = CONNECT_TIMEOUT_MS, idleTimeoutMs = IDLE_TIMEOUT_MS } = options;
  const common: AgentOptions = { keepAlive: true, maxSockets: MAX_SOCKETS, timeout: idleTimeoutMs };
  const limits = { connectTimeoutMs, idleTimeoutMs };
  if (protocol === 'http:') return withLimits(new HttpAgent(common), limits, 'connect');
  const { caCertPem, insecureSkipTlsVerify } = options;
  const trust: AgentOptions = {
    ...(caCertPem === undefined ? {} : { ca: [...getCACertificates('default'), caCertPem] }),
    ...(insecureSkipTlsVerify === true ? { rejectUnauthorized: false } : {}),
  };
  return withLimits(new HttpsAgent({ ...common, ...trust }), limits, 'secureConnect');
}

interface Limits {
  readonly connectTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

function withLimits(agent: HttpAgent, limits: Limits, connected: 'connect' | 'secureConnect'): HttpAgent {
  const create = agent.createConnection.bind(agent);
  agent.createConnection = (options, callback) => {
    const socket = create(options, callback);
    if (socket !== undefined && socket !== null) limit(socket, limits, connected);
    return socket;
  };
  return agent;
}

function limit(socket: Duplex, { connectTimeoutMs, idleTimeoutMs }: Limits, connected: string): void {
  const timer = setTimeout(
    () => socket.destroy(timedOut(`no connection within ${connectTimeoutMs / 1000} s`)),
    connectTimeoutMs,
  );
  const clear = (): void => clearTimeout(timer);
  socket.once(connected, clear).once('close', clear);
  // The agent sets the limit itself and renews it with every byte, but leaves it to others what happens then.
  socket.on('timeout', () => socket.destroy(timedOut(`not a byte for ${idleTimeoutMs / 1000} s`)));
}

function timedOut(message: string): Error {
  return systemError('ETIMEDOUT', message);
}

/** An error as the system would name it. */
export function systemError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
