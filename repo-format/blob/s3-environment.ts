// Keys of S3 that stand in the environment. The library's provider chain would find the same ones first, and takes a tenth of
// a short command's processor time to be loaded.
import type { S3Credentials, S3Options } from './s3-options.ts';

/** Undefined wherever the chain might say otherwise: it is asked then. */
export function environmentCredentials(
  options: Pick<S3Options, 'profile' | 'credentialsFile'>,
  environment: Readonly<Record<string, string | undefined>>,
): S3Credentials | undefined {
  const {
    AWS_ACCESS_KEY_ID: accessKeyId = '',
    AWS_SECRET_ACCESS_KEY: secretAccessKey = '',
    AWS_SESSION_TOKEN: sessionToken = '',
    AWS_PROFILE: profile = '',
    AWS_CREDENTIAL_EXPIRATION: expiration = '',
  } = environment;
  if (options.profile !== undefined || options.credentialsFile !== undefined) return undefined;
  if (accessKeyId === '' || secretAccessKey === '' || profile !== '' || expiration !== '') return undefined;
  return { accessKeyId, secretAccessKey, ...(sessionToken === '' ? {} : { sessionToken }) };
}
