// The fault proxy before an API server: TLS on both sides. Who comes through it shows a token: a client's certificate ends there.
import { readFileSync } from 'node:fs';
import type { ApiServer } from './api-server.ts';
import { FaultProxy, type FaultProxyOptions } from './fault-proxy.ts';

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
