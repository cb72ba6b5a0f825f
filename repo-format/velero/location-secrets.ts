// What a location and a repository need of the Secrets in Velero's namespace (node-agent §6.3).
import { WindlassError } from '../../base/errors.ts';
import type { BackupStorageLocation } from './location-document.ts';
import type { LocationAccess } from './location-store.ts';

/** Where Secrets are read. */
export interface SecretSource {
  /** Undefined when there is no such Secret or key. */
  value(name: string, key: string, signal: AbortSignal): Promise<Uint8Array | undefined>;
  /** The path of a file that has the value; `SECRET_UNUSABLE` when there is none. */
  file(name: string, key: string, signal: AbortSignal): Promise<string>;
}

export interface RepositoryPasswords {
  readonly password: string;
  /** The one before, while the password is being changed. */
  readonly previousPassword?: string | undefined;
}

export const PASSWORD_SECRET = 'velero-repo-credentials';
const PASSWORD_KEY = 'repository-password';
const PREVIOUS_PASSWORD_KEY = 'repository-password-previous';

/** `SECRET_UNUSABLE` for credentials that are not there. */
export async function readLocationSecrets(
  { credential, caCertRef, provider }: BackupStorageLocation,
  secrets: SecretSource,
  environment: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
): Promise<Pick<LocationAccess, 'credentialsFile' | 'caCertPem'>> {
  const credentialsFile =
    credential === undefined
      ? sharedCredentials(provider, environment)
      : await secrets.file(credential.name, credential.key, signal);
  const certificate = caCertRef && (await secrets.value(caCertRef.name, caCertRef.key, signal));
  return { credentialsFile, caCertPem: certificate && text(certificate) };
}

/** AWS's library would find the file by itself, after loading all the ways that there are. */
function sharedCredentials(
  provider: string,
  { AWS_SHARED_CREDENTIALS_FILE: file }: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const isAws = provider === 'aws' || provider === 'velero.io/aws';
  return isAws && file !== undefined && file !== '' ? file : undefined;
}

/** `PASSWORD_MISSING` until somebody has made the Secret. */
export async function readRepositoryPasswords(
  secrets: SecretSource,
  signal: AbortSignal,
): Promise<RepositoryPasswords> {
  // Asked for at once: both are of the same version of the Secret.
  const [password = '', previous = ''] = await Promise.all(
    [PASSWORD_KEY, PREVIOUS_PASSWORD_KEY].map(async (key) =>
      text((await secrets.value(PASSWORD_SECRET, key, signal)) ?? NOTHING).trim(),
    ),
  );
  if (password === '') {
    throw new WindlassError(`Secret ${PASSWORD_SECRET} has no ${PASSWORD_KEY}: the Velero server makes it`, {
      code: 'PASSWORD_MISSING',
      retry: 'transient',
    });
  }
  return previous === '' || previous === password ? { password } : { password, previousPassword: previous };
}

const NOTHING = new Uint8Array();

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}
