// Keys and certificates for servers that tests start, made by openssl: a fresh authority for each, gone with its folder.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface KeyPair {
  /** Paths of PEM files. */
  readonly certificate: string;
  readonly key: string;
}

export interface CertificateRequest {
  readonly commonName: string;
  /** What Kubernetes reads as groups. */
  readonly organization?: string;
  /** `IP:127.0.0.1`, `DNS:localhost`; for servers. */
  readonly names?: readonly string[];
  readonly days?: number;
}

export interface CertificateAuthority {
  readonly certificate: string;
  /** A certificate for a server and for a client. `file` is the name of both files, without their extension. */
  issue(file: string, request: CertificateRequest): KeyPair;
}

const EC_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export function createAuthority(folder: string, file = 'ca'): CertificateAuthority {
  const authority = pair(folder, file);
  const isAuthority = [
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
  ];
  const out = ['-out', authority.certificate, '-keyout', authority.key];
  openssl(['req', '-x509', ...EC_KEY, '-days', '2', '-subj', `/CN=${file}`, ...isAuthority, ...out]);
  return {
    certificate: authority.certificate,
    issue(name, { commonName, organization, names = [], days = 2 }) {
      const made = pair(folder, name);
      const subject = `${organization === undefined ? '' : `/O=${organization}`}/CN=${commonName}`;
      const extensions = join(folder, `${name}.ext`);
      const alternative = names.length === 0 ? '' : `subjectAltName=${names.join(',')}\n`;
      writeFileSync(extensions, `extendedKeyUsage=serverAuth,clientAuth\n${alternative}`);
      const wanted = join(folder, `${name}.csr`);
      openssl(['req', ...EC_KEY, '-subj', subject, '-out', wanted, '-keyout', made.key]);
      const by = ['-CA', authority.certificate, '-CAkey', authority.key, '-CAcreateserial'];
      openssl([
        'x509',
        '-req',
        '-in',
        wanted,
        ...by,
        '-days',
        String(days),
        '-extfile',
        extensions,
        '-out',
        made.certificate,
      ]);
      return made;
    },
  };
}

/** An RSA pair without a certificate, as PEM files: what a Kubernetes API server signs its tokens with. */
export function createSigningKey(
  folder: string,
  file: string,
): { readonly privateKey: string; readonly publicKey: string } {
  const [privateKey, publicKey] = [join(folder, `${file}.key`), join(folder, `${file}.pub`)];
  openssl(['genrsa', '-out', privateKey, '2048']);
  openssl(['rsa', '-in', privateKey, '-pubout', '-out', publicKey]);
  return { privateKey, publicKey };
}

function pair(folder: string, name: string): KeyPair {
  return { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
}

function openssl(args: readonly string[]): void {
  const run = spawnSync('openssl', args, { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`openssl ${args[0] ?? ''}: ${run.error?.message ?? run.stderr}`);
}
