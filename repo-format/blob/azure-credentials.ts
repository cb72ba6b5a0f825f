// Which credentials an Azure store gets: from a file in the form of Velero's Secrets, or from the environment, by the names that
// Azure's own programs and Kopia use.
import { readFile } from 'node:fs/promises';
import type { Clock } from '../../base/clock.ts';
import { WindlassError } from '../../base/errors.ts';
import type { AzureCredential } from './azure.ts';
import {
  type AzureIdentity,
  MANAGEMENT_SCOPE,
  requestAccountKey,
  requestAzureToken,
  STORAGE_SCOPE,
} from './azure-identity.ts';
import { credentialsFileError } from './blob-errors.ts';

type Variables = Readonly<Record<string, string | undefined>>;

export interface AzureAccess {
  readonly account: string;
  /** Instead of the environment, but for the federated token of the pod. */
  readonly credentialsFile?: string | undefined;
  /** From a location; see its keys. */
  readonly accountKeyVariable?: string | undefined;
  readonly useAad?: boolean | undefined;
  readonly authority?: string | undefined;
  readonly subscriptionId?: string | undefined;
  readonly resourceGroup?: string | undefined;
}

const MAX_FILE_BYTES = 1 << 20;

/** Reads the file anew each time: credentials may be replaced while a command runs. */
export async function azureCredential(
  access: AzureAccess,
  environment: Variables,
  clock: Pick<Clock, 'nowMs'>,
  signal: AbortSignal,
): Promise<AzureCredential> {
  const variables = await variablesOf(access, environment);
  const { accountKeyVariable } = access;
  if (accountKeyVariable !== undefined) {
    const key = variables[accountKeyVariable];
    if (key === undefined || key === '') throw missing(`there is no ${accountKeyVariable} in the credentials`);
    return { kind: 'account-key', key };
  }
  const secret = storageSecret(variables);
  if (secret !== undefined) return secret;
  const identity = azureIdentity(variables, access.authority);
  const subscriptionId = access.subscriptionId ?? variables['AZURE_SUBSCRIPTION_ID'] ?? '';
  const resourceGroup = access.resourceGroup ?? variables['AZURE_RESOURCE_GROUP'] ?? '';
  if (access.useAad === false && subscriptionId !== '' && resourceGroup !== '') {
    const token = await requestAzureToken(identity, MANAGEMENT_SCOPE, { clock }, signal);
    const place = { account: access.account, subscriptionId, resourceGroup };
    return { kind: 'account-key', key: await requestAccountKey(place, token, signal) };
  }
  return { kind: 'identity', getToken: (ended) => requestAzureToken(identity, STORAGE_SCOPE, { clock }, ended) };
}

/** The account that the environment names. */
export function azureAccountOf(environment: Variables): string | undefined {
  const account = environment['AZURE_STORAGE_ACCOUNT'] ?? connectionString(environment)['AccountName'];
  return account === '' ? undefined : account;
}

/** Where the account's blobs are when nothing names the address: in the cloud that the credentials name. */
export async function azureEndpoint(access: AzureAccess, environment: Variables): Promise<string> {
  const variables = await variablesOf(access, environment);
  const connection = connectionString(variables);
  if (connection['BlobEndpoint'] !== undefined) return connection['BlobEndpoint'];
  const name = (variables['AZURE_CLOUD_NAME'] ?? '').toUpperCase();
  const domain = connection['EndpointSuffix'] ?? variables['AZURE_STORAGE_DOMAIN']?.replace(/^blob\./, '');
  return `https://${access.account}.blob.${domain ?? CLOUDS[name] ?? 'core.windows.net'}`;
}

const CLOUDS: Readonly<Record<string, string>> = {
  AZURECHINACLOUD: 'core.chinacloudapi.cn',
  AZUREUSGOVERNMENT: 'core.usgovcloudapi.net',
  AZUREUSGOVERNMENTCLOUD: 'core.usgovcloudapi.net',
};

function storageSecret(variables: Variables): AzureCredential | undefined {
  const connection = connectionString(variables);
  const key = variables['AZURE_STORAGE_KEY'] ?? connection['AccountKey'] ?? '';
  if (key !== '') return { kind: 'account-key', key };
  const token = variables['AZURE_STORAGE_SAS_TOKEN'] ?? connection['SharedAccessSignature'] ?? '';
  return token === '' ? undefined : { kind: 'sas', token };
}

export function azureIdentity(variables: Variables, givenAuthority?: string): AzureIdentity {
  const tenantId = variables['AZURE_TENANT_ID'] ?? '';
  const clientId = variables['AZURE_CLIENT_ID'] ?? '';
  const authority = givenAuthority ?? variables['AZURE_AUTHORITY_HOST'];
  const principal = { tenantId, clientId, ...(authority === undefined ? {} : { authority }) };
  const secret = variables['AZURE_CLIENT_SECRET'] ?? '';
  const hasPrincipal = tenantId !== '' && clientId !== '';
  if (hasPrincipal && secret !== '') return { kind: 'secret', ...principal, secret };
  if ((variables['AZURE_CLIENT_CERTIFICATE'] ?? variables['AZURE_CLIENT_CERTIFICATE_PATH'] ?? '') !== '') {
    throw missing('client certificates are not supported: use a secret, workload identity or an account key');
  }
  const tokenFile = variables['AZURE_FEDERATED_TOKEN_FILE'] ?? '';
  if (hasPrincipal && tokenFile !== '') return { kind: 'federated', ...principal, tokenFile };
  return { kind: 'managed', ...(clientId === '' ? {} : { clientId }) };
}

/** Of the environment only what the pod's own identity needs comes beside a file. */
async function variablesOf(access: AzureAccess, environment: Variables): Promise<Variables> {
  // Velero's pods name the file of their shared Secret so.
  const { AZURE_CREDENTIALS_FILE: sharedFile } = environment;
  const { credentialsFile = sharedFile } = access;
  if (credentialsFile === undefined || credentialsFile === '') return environment;
  let text: string;
  try {
    text = await readFile(credentialsFile, 'utf8');
  } catch (cause) {
    throw credentialsFileError(credentialsFile, 'cannot be read', cause);
  }
  if (text.length > MAX_FILE_BYTES) throw credentialsFileError(credentialsFile, 'is far too long');
  const { AZURE_FEDERATED_TOKEN_FILE, AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_AUTHORITY_HOST } = environment;
  const ofPod =
    AZURE_FEDERATED_TOKEN_FILE === undefined
      ? {}
      : { AZURE_FEDERATED_TOKEN_FILE, AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_AUTHORITY_HOST };
  return { ...ofPod, ...parseVariables(text) };
}

/** Lines of `NAME=value`, as `.env` files have them; values may be in quotes, with `\n` in double ones. */
export function parseVariables(text: string): Readonly<Record<string, string>> {
  const found: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.]*)\s*[=:]\s*(.*?)\s*$/.exec(line);
    if (match === null) continue;
    const [, name = '', raw = ''] = match;
    found[name] = unquoted(raw);
  }
  return found;
}

function unquoted(raw: string): string {
  const quoted = /^"((?:[^"\\]|\\.)*)"|^'([^']*)'/.exec(raw);
  if (quoted?.[1] !== undefined) return quoted[1].replaceAll('\\n', '\n').replaceAll(/\\(.)/g, '$1');
  return quoted?.[2] ?? raw.replace(/\s+#.*$/, '');
}

function connectionString(variables: Variables): Readonly<Record<string, string>> {
  const parts = (variables['AZURE_STORAGE_CONNECTION_STRING'] ?? '').split(';').flatMap((part) => {
    const at = part.indexOf('=');
    return at > 0 ? [[part.slice(0, at), part.slice(at + 1)] as const] : [];
  });
  return Object.fromEntries(parts);
}

function missing(reason: string) {
  return new WindlassError(`no credentials for the Azure account: ${reason}`, { code: 'BLOB_CREDENTIALS_MISSING' });
}
