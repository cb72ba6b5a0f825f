// The fault proxy before an API server: TLS on both sides. Who comes through it shows a token: a client's certificate ends there.
import { readFileSync } from 'node:fs';
import type { ApiServer } from './api-server.ts';
import { FaultProxy, type FaultProxyOptions } from './fault-proxy.ts';
import type { Answer, ProxiedRequest } from './proxy-faults.ts';

export async function startKubeProxy(
  server: ApiServer,
  options: Omit<FaultProxyOptions, 'target' | 'targetCa' | 'tls'> = {},
): Promise<FaultProxy> {
  const { certificate, key } = server.authority.issue('proxy', { commonName: 'proxy', names: ['IP:127.0.0.1'] });
  return FaultProxy.start({
    ...options,
    target: server.url,
    targetCa: readFileSync(server.caPath, 'utf8'),
    tls: { cert: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') },
  });
}

/** What an API server says when it refuses: a Status object. */
export function statusAnswer(status: number, reason: string, headers: Readonly<Record<string, string>> = {}): Answer {
  const body = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'planned',
    reason,
    code: status,
  };
  return { status, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
}

/** Watches of a kind from a version on, by the last part of its path: `configmaps`. */
export function isWatchOf(plural: string): (request: ProxiedRequest) => boolean {
  return ({ path }) => path.includes(`/${plural}?`) && /[?&]watch=true/.test(path) && /[?&]resourceVersion=/.test(path);
}

/** Watches that begin with all there is. */
export function isStreamOf(plural: string): (request: ProxiedRequest) => boolean {
  return ({ path }) => path.includes(`/${plural}?`) && /[?&]sendInitialEvents=true/.test(path);
}

export function isListOf(plural: string): (request: ProxiedRequest) => boolean {
  return ({ method, path }) => method === 'GET' && path.includes(`/${plural}?`) && !/[?&]watch=true/.test(path);
}
