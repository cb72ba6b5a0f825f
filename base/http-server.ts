// `/metrics`, `/healthz`, `/readyz`: for Prometheus and the kubelet.
import { createServer, type Server } from 'node:http';
import { WindlassError } from './errors.ts';

export interface HttpPages {
  metrics(): Promise<string>;
  /** Why the process should be started anew; undefined: it is well. */
  unhealthy(): string | undefined;
  /** Why it is of no use yet. */
  unready(): string | undefined;
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** `:8085` or `host:port`. `LISTEN_FAILED` when the address is taken. */
export async function startHttpServer(address: string, pages: HttpPages): Promise<Server> {
  const { host, port } = parseAddress(address);
  const server = createServer((request, response) => {
    void answer(request.url ?? '/', pages).then(
      ({ status, type, body }) => {
        response.writeHead(status, { 'content-type': type });
        response.end(body);
      },
      (error: unknown) => {
        response.writeHead(500, { 'content-type': 'text/plain' });
        response.end(String(error));
      },
    );
  });
  server.requestTimeout = 30_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(listenFailed(address, cause)));
    server.listen({ port, ...(host === '' ? {} : { host }) }, resolve);
  });
  return server;
}

function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const [, host = '', digits] = /^(.*):(\d{1,5})$/.exec(address) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535)
    throw listenFailed(address, new TypeError('it is no address such as :8085'));
  return { host: host.replace(/^\[|\]$/g, ''), port };
}

function listenFailed(address: string, cause: unknown): WindlassError {
  return new WindlassError(`cannot listen on ${address}`, { code: 'LISTEN_FAILED', context: { address }, cause });
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

async function answer(url: string, pages: HttpPages): Promise<Page> {
  switch (new URL(url, 'http://here').pathname) {
    case '/metrics':
      return { status: 200, type: METRICS_TYPE, body: await pages.metrics() };
    case '/healthz':
      return verdict(pages.unhealthy());
    case '/readyz':
      return verdict(pages.unready());
    default:
      return { status: 404, type: 'text/plain', body: 'there are /metrics, /healthz and /readyz\n' };
  }
}

function verdict(problem: string | undefined): Page {
  const isWell = problem === undefined;
  return { status: isWell ? 200 : 503, type: 'text/plain', body: `${problem ?? 'ok'}\n` };
}
