// Tokens for Google Cloud Storage: from the credentials file that is named, or as Google's own programs find theirs (a file named by the
// environment, the user's login, the machine's service account).
import { open } from 'node:fs/promises';
import type { AuthClient } from 'google-auth-library';
import { storeFailure } from './blob-errors.ts';

export interface GcsIdentity {
  /** A key file or a configuration of workload identity federation, as Velero's Secrets have them. */
  readonly credentialsFile?: string | undefined;
  readonly universeDomain?: string | undefined;
}

/** The headers that carry a token; a new one when the last is about to end. */
export type Authorization = () => Promise<Record<string, string>>;

const SCOPES = ['https://www.googleapis.com/auth/devstorage.full_control'];
const MAX_FILE_BYTES = 1 << 20;

export async function gcsAuthorization(identity: GcsIdentity, subject: string): Promise<Authorization> {
  const { Storage } = await import('@google-cloud/storage');
  const { credentialsFile, universeDomain } = identity;
  const client = credentialsFile === undefined ? undefined : await clientFrom(credentialsFile, subject);
  const { authClient } = new Storage({
    ...(client === undefined ? {} : { authClient: client }),
    ...(universeDomain === undefined ? {} : { universeDomain }),
  });
  return async () => Object.fromEntries(await authClient.getRequestHeaders());
}

type Members = Readonly<Record<string, unknown>>;

/** By type and not by `GoogleAuth`: that warns on the terminal, since a file may name any address. Programs are never run. */
async function clientFrom(path: string, subject: string): Promise<AuthClient> {
  const json = await readCredentials(path, subject);
  const { AwsClient, IdentityPoolClient, JWT, UserRefreshClient } = await import('google-auth-library');
  const text = (name: string): string => {
    const value = json[name];
    return typeof value === 'string' ? value : '';
  };
  switch (json['type']) {
    case 'service_account':
      return new JWT({
        email: text('client_email'),
        key: text('private_key'),
        keyId: text('private_key_id'),
        scopes: SCOPES,
      });
    case 'authorized_user':
      return new UserRefreshClient({
        clientId: text('client_id'),
        clientSecret: text('client_secret'),
        refreshToken: text('refresh_token'),
      });
    case 'external_account': {
      const source = json['credential_source'] as Members | undefined;
      const options = { ...json, scopes: SCOPES } as unknown as ConstructorParameters<typeof IdentityPoolClient>[0];
      if (source?.['environment_id'] !== undefined) {
        return new AwsClient(options as unknown as ConstructorParameters<typeof AwsClient>[0]);
      }
      if (source?.['executable'] === undefined) return new IdentityPoolClient(options);
    }
  }
  throw unusable(subject, 'UnknownTypeOfCredentials');
}

async function readCredentials(path: string, subject: string): Promise<Members> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    if (size > MAX_FILE_BYTES) throw unusable(subject, 'CredentialsFileTooLong');
    // The parser's message would quote what is in the file.
    const json = parseJson(await handle.readFile('utf8'));
    if (typeof json !== 'object' || json === null) throw unusable(subject, 'CredentialsFileNotJson');
    return json as Members;
  } finally {
    await handle.close();
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function unusable(subject: string, storeCode: string) {
  return storeFailure('BLOB_CREDENTIALS_MISSING', { operation: 'open', subject, storeCode });
}
