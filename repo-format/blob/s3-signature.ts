// Signs requests as Amazon's "Signature Version 4" has it, in one header. Pure: the time is given.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
import { createHash, createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import type { S3Credentials } from './s3-options.ts';

export interface UnsignedRequest {
  readonly method: string;
  /** As in the header, with a port that is not the usual one. */
  readonly host: string;
  /** Encoded already, see {@link encodeKey}. */
  readonly path: string;
  /** Not encoded. */
  readonly query: Readonly<Record<string, string>>;
  /** Names in small letters; all of them are signed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
}

export interface SigningScope {
  readonly region: string;
  readonly service: string;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const EMPTY_HASH = sha256Hex('');

export class RequestSigner {
  readonly #scope: SigningScope;
  /** Of one day and one secret: four hashes that need not be made again. */
  #key: { readonly day: string; readonly secret: string; readonly key: KeyObject } | undefined;

  constructor(scope: SigningScope) {
    this.#scope = scope;
  }

  /** The headers to send beside `host`. */
  sign(request: UnsignedRequest, credentials: S3Credentials, nowMs: number): Record<string, string> {
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    const { region, service } = this.#scope;
    const time = new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, '');
    const day = time.slice(0, 8);
    const bodyHash = request.body === undefined || request.body.length === 0 ? EMPTY_HASH : sha256Hex(request.body);
    const headers: Record<string, string> = {
      ...request.headers,
      'x-amz-content-sha256': bodyHash,
      'x-amz-date': time,
      ...(sessionToken === undefined ? {} : { 'x-amz-security-token': sessionToken }),
    };
    const signed: Record<string, string> = { ...headers, host: request.host };
    const names = Object.keys(signed).sort();
    const canonical = [
      request.method,
      request.path,
      encodeQuery(request.query),
      ...names.map((name) => `${name}:${(signed[name] ?? '').trim().replaceAll(/ +/g, ' ')}`),
      '',
      names.join(';'),
      bodyHash,
    ].join('\n');
    const scope = `${day}/${region}/${service}/aws4_request`;
    const text = `${ALGORITHM}\n${time}\n${scope}\n${sha256Hex(canonical)}`;
    const signature = hmac(this.#keyOf(day, secretAccessKey), text).toString('hex');
    headers['authorization'] =
      `${ALGORITHM} Credential=${accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
    return headers;
  }

  #keyOf(day: string, secret: string): KeyObject {
    if (this.#key?.day === day && this.#key.secret === secret) return this.#key.key;
    const { region, service } = this.#scope;
    let bytes: Uint8Array = Buffer.from(`AWS4${secret}`);
    for (const part of [day, region, service, 'aws4_request']) bytes = hmac(bytes, part);
    const key = createSecretKey(bytes);
    this.#key = { day, secret, key };
    return key;
  }
}

/** In the order that is signed; sent as it is. */
export function encodeQuery(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
}

/** A key as it stands in a path: slashes stay. */
export function encodeKey(key: string): string {
  return encode(key).replaceAll('%2F', '/');
}

/** All but letters, digits and `-_.~`. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key: Uint8Array | KeyObject, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
