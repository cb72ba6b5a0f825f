// Tokens of ServiceAccounts as an API server signs them, but for as short a life as a test wants: the API itself gives none under
// ten minutes.
import { randomUUID, sign } from 'node:crypto';

export interface TokenRequest {
  readonly namespace: string;
  readonly name: string;
  /** Of the ServiceAccount. */
  readonly uid: string;
  /** From now; in the past when negative. */
  readonly expiresInSeconds: number;
}

const ISSUER = 'https://kubernetes.default.svc';
// The server allows no clock that is behind the issuer's.
const ISSUED_BEFORE_SECONDS = 3600;

export function signToken(privateKeyPem: string, { namespace, name, uid, expiresInSeconds }: TokenRequest): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: ISSUER,
    aud: [ISSUER],
    sub: `system:serviceaccount:${namespace}:${name}`,
    iat: now - ISSUED_BEFORE_SECONDS,
    nbf: now - ISSUED_BEFORE_SECONDS,
    exp: now + expiresInSeconds,
    jti: randomUUID(),
    'kubernetes.io': { namespace, serviceaccount: { name, uid } },
  };
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const signed = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${signed}.${sign('sha256', Buffer.from(signed), privateKeyPem).toString('base64url')}`;
}
