// What a location and a repository need of the Secrets in Velero's namespace (node-agent §6.3).
import { WindlassError } from '../../base/errors.ts';
import type { BackupStorageLocation } from './location-document.ts';
import type { LocationAccess } from './location-store.ts';

/** Where Secrets are read. */
export interface SecretSource {
  /** Undefined when there is no such Secret or key. */
  value(name: string, key: string, signal: AbortSignal): Promise<Uint8Array | undefined>;
  /** Whether there is such a Secret, whatever is in it. */
  has(name: string, signal: AbortSignal): Promise<boolean>;
  /** The path of a file that has the value; `SECRET_UNUSABLE` when there is none. */
  file(name: string, key: string, signal: AbortSignal): Promise<string>;
}

export interface RepositoryPasswords {
  readonly password: string;
  /** The one before, while the password is being changed. */
  readonly previousPassword?: string | undefined;
}

/** Whose passwords are asked for. */
export interface PasswordQuestion {
  readonly volumeNamespace: string;
  /** Whether namespaces may have a Secret of their own. A stock server knows only the common one. */
  readonly perNamespace: boolean;
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

/** A namespace's name. It has 63 characters at most, so that the Secret's stays far below the 253 that it may have. */
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * `PASSWORD_MISSING` until somebody has made the Secret. A namespace's own that is there without a password is not made up for by
 * the common one: a repository that was made meanwhile would have that.
 */
export async function readRepositoryPasswords(
  secrets: SecretSource,
  { volumeNamespace, perNamespace }: PasswordQuestion,
  signal: AbortSignal,
): Promise<RepositoryPasswords> {
  const own = `${PASSWORD_SECRET}-${volumeNamespace}`;
  const isOwn = perNamespace && NAMESPACE.test(volumeNamespace) && (await secrets.has(own, signal));
  return readPasswords(secrets, isOwn ? own : PASSWORD_SECRET, signal);
}

async function readPasswords(secrets: SecretSource, name: string, signal: AbortSignal): Promise<RepositoryPasswords> {
  // Asked for at once: both are of the same version of the Secret.
  const [password = '', previous = ''] = await Promise.all(
    [PASSWORD_KEY, PREVIOUS_PASSWORD_KEY].map(async (key) =>
      text((await secrets.value(name, key, signal)) ?? NOTHING).trim(),
    ),
  );
  if (password === '') {
    const maker = name === PASSWORD_SECRET ? ': the Velero server makes it' : '';
    throw new WindlassError(`Secret ${name} has no ${PASSWORD_KEY}${maker}`, {
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
