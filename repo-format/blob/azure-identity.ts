// Tokens of Entra ID for Azure Blob Storage: a service principal's secret, a federated token of a Kubernetes service account (workload
// identity), or the machine's managed identity. These three are one small request each; @azure/identity would bring browsers' sign-in.
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../base/clock.ts';
import type { AzureToken } from './azure.ts';
import { storeFailure } from './blob-errors.ts';
import { translateGcsError } from './gcs-errors.ts';
import { createHttpClient, type HttpClient, type HttpRequest, type HttpResponse } from './http-client.ts';

export type AzureIdentity =
  | (Principal & { readonly kind: 'secret'; readonly secret: string })
  /** The file is read for every token: Kubernetes replaces it. */
  | (Principal & { readonly kind: 'federated'; readonly tokenFile: string })
  | { readonly kind: 'managed'; readonly clientId?: string };

interface Principal {
  readonly tenantId: string;
  readonly clientId: string;
  /** `https://login.microsoftonline.com` unless the cloud is another. */
  readonly authority?: string;
}

export const STORAGE_SCOPE = 'https://storage.azure.com';
export const MANAGEMENT_SCOPE = 'https://management.azure.com';
const DEFAULT_AUTHORITY = 'https://login.microsoftonline.com';
const MANAGED_ENDPOINT = 'http://169.254.169.254/metadata/identity/oauth2/token';
// The address answers at once where it exists at all.
const MANAGED_CONNECT_TIMEOUT_MS = 2000;
const MAX_ANSWER_BYTES = 1 << 20;

export interface AzureIdentityDeps {
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Another address of the machine's service; for tests. */
  readonly managedEndpoint?: string;
}

/** A token for `scope`. `BLOB_CREDENTIALS_MISSING` where the machine has no identity, `BLOB_ACCESS_DENIED` where it is refused. */
export async function requestAzureToken(
  identity: AzureIdentity,
  scope: string,
  deps: AzureIdentityDeps,
  signal: AbortSignal,
): Promise<AzureToken> {
  const http = createHttpClient(identity.kind === 'managed' ? { connectTimeoutMs: MANAGED_CONNECT_TIMEOUT_MS } : {});
  try {
    const answer = await send(http, await tokenRequest(identity, scope, deps), identity, signal);
    return readToken(answer, deps);
  } finally {
    http.close();
  }
}

async function tokenRequest(identity: AzureIdentity, scope: string, deps: AzureIdentityDeps): Promise<HttpRequest> {
  if (identity.kind === 'managed') {
    const query = new URLSearchParams({
      'api-version': '2018-02-01',
      resource: scope,
      ...(identity.clientId === undefined ? {} : { client_id: identity.clientId }),
    });
    const url = `${deps.managedEndpoint ?? MANAGED_ENDPOINT}?${query.toString()}`;
    return { method: 'GET', url, headers: { metadata: 'true' }, maxBodyBytes: MAX_ANSWER_BYTES };
  }
  const { tenantId, clientId, authority = DEFAULT_AUTHORITY } = identity;
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: clientId,
    scope: `${scope}/.default`,
    ...(identity.kind === 'secret' ? { client_secret: identity.secret } : await assertionOf(identity.tokenFile)),
  });
  return {
    method: 'POST',
    url: `${authority.replace(/\/+$/, '')}/${encodeURIComponent(tenantId)}/oauth2/v2.0/token`,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: [Buffer.from(form.toString())],
    maxBodyBytes: MAX_ANSWER_BYTES,
  };
}

async function assertionOf(tokenFile: string): Promise<Record<string, string>> {
  try {
    return {
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: (await readFile(tokenFile, 'utf8')).trim(),
    };
  } catch {
    throw refusal('BLOB_CREDENTIALS_MISSING', 'TokenFileUnreadable');
  }
}

async function send(
  http: HttpClient,
  request: HttpRequest,
  identity: AzureIdentity,
  signal: AbortSignal,
): Promise<HttpResponse> {
  try {
    return await http.request(request, signal);
  } catch (error) {
    signal.throwIfAborted();
    // No such service on this machine.
    if (identity.kind === 'managed') throw refusal('BLOB_CREDENTIALS_MISSING', 'NoManagedIdentity');
    throw translateGcsError(error, { operation: 'open', subject: 'the identity service' }, false);
  }
}

function readToken({ status, body }: HttpResponse, deps: AzureIdentityDeps): AzureToken {
  const answer = parseJson(body);
  const { access_token: token, expires_in: expiresIn } = answer;
  if (status === 429 || status >= 500) throw refusal('BLOB_STORE_UNAVAILABLE', undefined, status);
  if (status !== 200 || typeof token !== 'string' || token === '') {
    const { error: word } = answer;
    const code = status === 404 ? 'BLOB_CREDENTIALS_MISSING' : 'BLOB_ACCESS_DENIED';
    throw refusal(code, typeof word === 'string' ? word : undefined, status);
  }
  return { token, expiresAtMs: deps.clock.nowMs() + (Number(expiresIn) || 0) * 1000 };
}

export interface AccountKeyPlace {
  readonly account: string;
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  readonly managementEndpoint?: string;
}

/** The account's key, from Azure's management API: what Velero does where the location names neither a key nor Entra ID. */
export async function requestAccountKey(
  place: AccountKeyPlace,
  token: AzureToken,
  signal: AbortSignal,
): Promise<string> {
  const { account, subscriptionId, resourceGroup, managementEndpoint = MANAGEMENT_SCOPE } = place;
  const [subscription, group, name] = [subscriptionId, resourceGroup, account].map(encodeURIComponent);
  const http = createHttpClient({});
  try {
    const answer = await http.request(
      {
        method: 'POST',
        url:
          `${managementEndpoint}/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.Storage/` +
          `storageAccounts/${name}/listKeys?api-version=2023-05-01`,
        headers: { authorization: `Bearer ${token.token}` },
        maxBodyBytes: MAX_ANSWER_BYTES,
      },
      signal,
    );
    const { keys } = parseJson(answer.body) as { keys?: { value?: unknown; permissions?: unknown }[] };
    const full = keys?.find(({ permissions }) => /^full$/i.test(String(permissions)))?.value;
    if (answer.status === 200 && typeof full === 'string') return full;
    throw refusal('BLOB_ACCESS_DENIED', 'ListKeys', answer.status);
  } catch (error) {
    signal.throwIfAborted();
    throw translateGcsError(error, { operation: 'open', subject: 'the management API' }, false);
  } finally {
    http.close();
  }
}

function parseJson(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value = JSON.parse(Buffer.from(body).toString('utf8')) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function refusal(
  code: 'BLOB_CREDENTIALS_MISSING' | 'BLOB_ACCESS_DENIED' | 'BLOB_STORE_UNAVAILABLE',
  storeCode: string | undefined,
  httpStatus?: number,
) {
  return storeFailure(code, { operation: 'open', subject: "the account's identity", storeCode, httpStatus });
}
