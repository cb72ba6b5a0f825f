// A real server of Google Cloud Storage's API for tests: fake-gcs-server, one for each test file.
import { buildGoProgram } from './go-program.ts';
import { answersHttp, freePort, startServer } from './server-process.ts';

export interface GcsServer {
  readonly endpoint: string;
  createBucket(name: string): Promise<void>;
  deleteBucket(name: string): Promise<void>;
  stop(): Promise<void>;
}

export async function startGcsServer(): Promise<GcsServer> {
  const program = buildGoProgram('fake-gcs-server');
  if ('missing' in program) throw new Error(program.missing);
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const server = await startServer(
    [
      program.path,
      '-scheme=http',
      '-host=127.0.0.1',
      `-port=${port}`,
      '-backend=memory',
      `-public-host=127.0.0.1:${port}`,
      '-log-level=error',
    ],
    {},
    () => answersHttp(`${endpoint}/storage/v1/b?project=test`),
  );
  const change = async (method: string, path: string, body?: unknown): Promise<void> => {
    const answer = await fetch(`${endpoint}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    await answer.arrayBuffer();
  };
  return {
    endpoint,
    createBucket: (name) => change('POST', '/storage/v1/b?project=test', { name }),
    deleteBucket: (name) => change('DELETE', `/storage/v1/b/${name}`),
    stop: () => server.stop(),
  };
}
