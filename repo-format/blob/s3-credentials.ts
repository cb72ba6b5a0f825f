// Who we are to an S3 store. Nothing is read before the first request, and everything anew after `forget`: files that rotate
// are followed. Where keys come from is the library's business; only parts of it that are needed are loaded.
import { readFile } from 'node:fs/promises';
import type { fromIni as FromIni } from '@aws-sdk/credential-provider-ini';
import type { S3Credentials, S3Options } from './s3-options.ts';
import { plainCredentials } from './s3-profile.ts';

type AwsIdentityProperties = Parameters<ReturnType<typeof FromIni>>[0];

interface ProvidedCredentials extends S3Credentials {
  readonly expiration?: Date;
}

/** Asks anew so long before credentials expire, and not more often than that. */
const RENEW_BEFORE_MS = 5 * 60_000;
const ASK_AGAIN_AFTER_MS = 60_000;

interface Asked {
  readonly atMs: number;
  readonly credentials: Promise<ProvidedCredentials>;
}

export class CredentialsSource {
  readonly #ask: () => Promise<ProvidedCredentials>;
  #asked: Asked | undefined;
  #previous: ProvidedCredentials | undefined;

  constructor(ask: () => Promise<ProvidedCredentials>) {
    this.#ask = ask;
  }

  /** Fails as the library does; the next call asks again. */
  async get(nowMs: number): Promise<S3Credentials> {
    const asked = (this.#asked ??= { atMs: nowMs, credentials: this.#ask() });
    const credentials = await this.#answerOf(asked, nowMs);
    const leftMs = (credentials.expiration?.getTime() ?? Infinity) - nowMs;
    if (leftMs > RENEW_BEFORE_MS || nowMs - asked.atMs < ASK_AGAIN_AFTER_MS) return credentials;
    if (this.#asked === asked) {
      this.#previous = credentials;
      this.#asked = undefined;
    }
    const renewed = (this.#asked ??= { atMs: nowMs, credentials: this.#ask() });
    return await this.#answerOf(renewed, nowMs);
  }

  /** The credentials at hand are no longer good. */
  forget(): void {
    this.#asked = undefined;
    this.#previous = undefined;
  }

  async #answerOf(asked: Asked, nowMs: number): Promise<ProvidedCredentials> {
    try {
      return await asked.credentials;
    } catch (error) {
      if (this.#asked === asked) this.#asked = undefined;
      const previous = this.#previous;
      if (previous?.expiration !== undefined && previous.expiration.getTime() > nowMs) return previous;
      throw error;
    }
  }
}

/** `caller` is the configuration of the client that asks: a role is asked for in its region and by its request handler. */
export async function provideCredentials(
  options: S3Options,
  caller: () => Promise<object | undefined>,
): Promise<ProvidedCredentials> {
  const { credentials, credentialsFile, profile } = options;
  if (credentials !== undefined) return credentials;
  if (credentialsFile !== undefined) {
    // What cannot be read is for the library to name.
    const text = await readFile(credentialsFile, 'utf8').catch(() => '');
    const plain = plainCredentials(text, profile ?? 'default');
    if (plain !== undefined) return plain;
  }
  const profileOption = profile === undefined ? {} : { profile };
  const identity = { callerClientConfig: await caller() } as AwsIdentityProperties;
  if (credentialsFile !== undefined) {
    const { fromIni } = await import('@aws-sdk/credential-provider-ini');
    // One file serves for both; the environment's own profile and tokens do not count.
    const files = { filepath: credentialsFile, configFilepath: credentialsFile, ignoreCache: true };
    return await fromIni({ profile: 'default', ...profileOption, ...files })(identity);
  }
  const { defaultProvider } = await import('@aws-sdk/credential-provider-node');
  return await defaultProvider({ ...profileOption, ignoreCache: true })(identity);
}
