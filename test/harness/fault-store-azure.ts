// Azurite behind the fault proxy.
import { openAzureStorage } from '../../repo-format/blob/azure.ts';
import { startAzurite } from './azurite-server.ts';
import { FaultProxy } from './fault-proxy.ts';
import type { Adapter, FaultStore, OpenLimits, StoreAnswers } from './fault-store.ts';
import type { Answer } from './proxy-faults.ts';

const refusal = (status: number, code: string, headers: Readonly<Record<string, string>> = {}): Answer => ({
  status,
  headers: { 'content-type': 'application/xml', 'x-ms-error-code': code, ...headers },
  body: `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>planned</Message></Error>`,
});

const ANSWERS: StoreAnswers = {
  busy: (seconds) => refusal(503, 'ServerBusy', seconds === undefined ? {} : { 'retry-after': String(seconds) }),
  expired: refusal(401, 'InvalidAuthenticationInfo'),
  denied: refusal(403, 'AuthorizationPermissionMismatch'),
  skewed: {
    ...refusal(403, 'AuthenticationFailed'),
    body:
      '<?xml version="1.0" encoding="utf-8"?><Error><Code>AuthenticationFailed</Code><Message>planned</Message>' +
      '<AuthenticationErrorDetail>Request date header too old</AuthenticationErrorDetail></Error>',
  },
};

export async function startAzureFaultStore(): Promise<FaultStore> {
  const hooks: (() => void)[] = [];
  const server = await startAzurite({ after: (hook) => void hooks.push(hook) });
  const proxy = await FaultProxy.start({ target: `http://127.0.0.1:${server.port}` });
  const { account, accountKey } = server;
  let containers = 0;
  const open = (container: string, prefix: string, base: string, limits: OpenLimits): Promise<Adapter> =>
    openAzureStorage(
      { account, container, prefix, endpoint: `${base}/${account}`, ...limits },
      { credential: async () => ({ kind: 'account-key', key: accountKey }) },
    );
  return {
    proxy,
    answers: ANSWERS,
    async createBucket() {
      const name = `faults-${++containers}`;
      await server.createContainer(name);
      return name;
    },
    deleteBucket: (container) => server.deleteContainer(container),
    open: (container, prefix, limits = {}) => open(container, prefix, proxy.url, limits),
    openDirectly: (container, prefix, base = `http://127.0.0.1:${server.port}`, limits = {}) =>
      open(container, prefix, base, limits),
    async putObject(container, key, bytes) {
      const { BlobServiceClient, StorageSharedKeyCredential } = await import('@azure/storage-blob');
      const service = new BlobServiceClient(server.endpoint, new StorageSharedKeyCredential(account, accountKey));
      await service.getContainerClient(container).getBlockBlobClient(key).upload(Buffer.from(bytes), bytes.length);
    },
    async stop() {
      await proxy.close();
      for (const hook of hooks) hook();
    },
  };
}
