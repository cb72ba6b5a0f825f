// Sends the requests that a run makes by the hundred. The library takes 1 ms of processor time for each, and 30 MiB and 80 ms
// to be loaded: it is left what is rare (s3-client.ts). One attempt, two where this machine's clock turns out to be wrong or
// the bucket to be in another region.
import { createHttpClient, type HttpClient, type HttpResponse } from './http-client.ts';
import type { CredentialsSource } from './s3-credentials.ts';
import type { S3Address } from './s3-endpoint.ts';
import type { S3Options } from './s3-options.ts';
import { encodeKey, encodeQuery, RequestSigner } from './s3-signature.ts';
import { errorCodeOf } from './s3-xml.ts';

export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE';
  /** Undefined: the bucket. */
  readonly key?: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Names in small letters. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Of a success. */
  readonly maxBodyBytes: number;
}

/** A refusal, with the members that the library's errors have (`s3ErrorFacts`). */
export class S3Refusal extends Error {
  readonly $metadata: { readonly httpStatusCode: number; readonly requestId: string | undefined };
  readonly $response: { readonly headers: Readonly<Record<string, string>> };

  constructor({ status, headers, body }: HttpResponse) {
    super('the store refuses the request');
    const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8');
    this.name = errorCodeOf(text) ?? NAMES[status] ?? 'UnknownError';
    const told: Record<string, string> = {};
    for (const name of ['retry-after', 'x-amz-bucket-region', 'date']) {
      if (typeof headers[name] === 'string') told[name] = headers[name];
    }
    const requestId = headers['x-amz-request-id'];
    this.$metadata = { httpStatusCode: status, requestId: typeof requestId === 'string' ? requestId : undefined };
    this.$response = { headers: told };
  }
}

/** Where there is no word, as in the answer to a HEAD. */
const NAMES: Readonly<Record<number, string>> = { 403: 'Forbidden', 404: 'NotFound' };
/** As the library has it: less is not why a request is refused. */
const SKEW_MS = 4 * 60_000;
const MAX_TRIES = 3;

export interface S3RequestsDeps {
  readonly credentials: CredentialsSource;
  readonly nowMs: () => number;
  /** Where the bucket is, by the library's rules, if it is in this region. */
  readonly addressIn: (region: string) => Promise<S3Address>;
}

export class S3Requests {
  readonly #options: S3Options;
  readonly #deps: S3RequestsDeps;
  readonly #http: HttpClient;
  #place: Promise<{ readonly address: S3Address; readonly signer: RequestSigner }> | undefined;
  #region: string;
  #clockOffsetMs = 0;

  constructor(options: S3Options, region: string, deps: S3RequestsDeps) {
    this.#options = options;
    this.#region = region;
    this.#deps = deps;
    this.#http = createHttpClient(options);
  }

  /** The answer to a success; `S3Refusal` or a system's error otherwise. */
  async send(request: S3Request, signal: AbortSignal): Promise<HttpResponse> {
    for (let tries = 1; ; tries++) {
      const answer = await this.#sendOnce(request, signal);
      if (answer.status >= 200 && answer.status < 300) return answer;
      const refusal = new S3Refusal(answer);
      if (tries >= MAX_TRIES || !(this.#setClock(refusal) || this.#followRegion(refusal))) throw refusal;
    }
  }

  close(): void {
    this.#http.close();
  }

  async #sendOnce(request: S3Request, signal: AbortSignal): Promise<HttpResponse> {
    const { method, key, query = {}, headers = {}, body, maxBodyBytes } = request;
    const { address, signer } = await this.#findPlace();
    const nowMs = this.#deps.nowMs();
    const credentials = await this.#deps.credentials.get(nowMs);
    const { origin, host, basePath } = address;
    const path = key === undefined ? basePath.slice(0, -1) || '/' : basePath + encodeKey(key);
    const unsigned = { method, host, path, query, headers, body };
    const signed = signer.sign(unsigned, credentials, nowMs + this.#clockOffsetMs);
    const search = encodeQuery(query);
    return await this.#http.request(
      {
        method,
        url: `${origin}${path}${search === '' ? '' : `?${search}`}`,
        headers: signed,
        maxBodyBytes,
        ...(body === undefined ? {} : { body: [body] }),
      },
      signal,
    );
  }

  #findPlace(): Promise<{ readonly address: S3Address; readonly signer: RequestSigner }> {
    this.#place ??= this.#deps
      .addressIn(this.#region)
      .then((address) => ({ address, signer: new RequestSigner(address.scope) }));
    return this.#place;
  }

  /** True when requests have been refused because of this machine's clock and will no longer be. */
  #setClock({ $metadata, $response }: S3Refusal): boolean {
    if ($metadata.httpStatusCode !== 403) return false;
    const storeMs = Date.parse($response.headers['date'] ?? '');
    const offsetMs = storeMs - this.#deps.nowMs();
    if (!(Math.abs(offsetMs - this.#clockOffsetMs) > SKEW_MS)) return false;
    this.#clockOffsetMs = offsetMs;
    return true;
  }

  /** True when the store has said where the bucket is, and that is elsewhere. An endpoint that was given is kept to. */
  #followRegion({ $response }: S3Refusal): boolean {
    const region = $response.headers['x-amz-bucket-region'];
    if (this.#options.endpoint !== undefined || region === undefined || region === this.#region) return false;
    if (!/^[a-z0-9-]{1,64}$/.test(region)) return false;
    this.#region = region;
    this.#place = undefined;
    return true;
  }
}
