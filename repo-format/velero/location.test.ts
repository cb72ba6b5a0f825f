// Table tests of the mapping from a BackupStorageLocation to where a repository is and how it is reached.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hasCode } from '../../base/errors.ts';
import { parseLocation, type BackupStorageLocation } from './location-document.ts';
import { locationStore, repositoryPrefix } from './location-store.ts';

const PEM = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';

function location(spec: Record<string, unknown>, name = 'default'): Record<string, unknown> {
  return { apiVersion: 'velero.io/v1', kind: 'BackupStorageLocation', metadata: { name }, spec };
}

async function parsed(spec: Record<string, unknown>): Promise<BackupStorageLocation> {
  return parseLocation(JSON.stringify(location(spec)));
}

async function storeOf(provider: string, config: Record<string, string>, more: Record<string, unknown> = {}) {
  const spec = { provider, objectStorage: { bucket: 'velero' }, config, ...more };
  return locationStore(await parsed(spec), { volumeNamespace: 'demo' });
}

const S3 = { kind: 's3', bucket: 'velero', prefix: 'kopia/demo/', forcePathStyle: false, insecureSkipTlsVerify: false };
const AZURE = { kind: 'azure', bucket: 'velero', prefix: 'kopia/demo/', account: 'account1', useAad: false };
const GCS = { kind: 'gcs', bucket: 'velero', prefix: 'kopia/demo/' };

describe('where a repository is', () => {
  const rows: readonly (readonly [string, string, string])[] = [
    ['', 'demo', 'kopia/demo/'],
    ['backups', 'my-ns', 'backups/kopia/my-ns/'],
    ['a/b', 'x', 'a/b/kopia/x/'],
    ['a//b', 'x', 'a/b/kopia/x/'],
  ];
  for (const [prefix, namespace, expected] of rows) {
    test(`prefix "${prefix}" and namespace ${namespace}`, () => {
      assert.equal(repositoryPrefix(prefix, namespace), expected);
    });
  }
  for (const namespace of ['', '.', '..', 'a/b', 'Upper', '-a', 'a-', 'x'.repeat(64), 'a b']) {
    test(`${JSON.stringify(namespace)} is no namespace`, () => {
      assert.throws(() => repositoryPrefix('', namespace), { code: 'LOCATION_INVALID' });
    });
  }
  test('slashes around bucket and prefix do not count', async () => {
    const spec = { provider: 'aws', objectStorage: { bucket: '/velero/', prefix: '/a/b/' }, config: { region: 'r' } };
    const { store } = locationStore(await parsed(spec), { volumeNamespace: 'demo' });
    assert.deepEqual(store, { ...S3, prefix: 'a/b/kopia/demo/', region: 'r' });
  });
  test('without objectStorage bucket and prefix come from the configuration', async () => {
    const spec = { provider: 'aws', config: { bucket: 'b', prefix: 'p', region: 'r' } };
    const { store } = locationStore(await parsed(spec), { volumeNamespace: 'demo' });
    assert.deepEqual(store, { ...S3, bucket: 'b', prefix: 'p/kopia/demo/', region: 'r' });
  });
});

describe('the keys of each provider', () => {
  const rows: readonly (readonly [string, string, Record<string, string>, Record<string, unknown>])[] = [
    ['nothing but a bucket', 'aws', {}, S3],
    ['region', 'velero.io/aws', { region: 'eu-west-1' }, { ...S3, region: 'eu-west-1' }],
    [
      'another server',
      'aws',
      { region: 'minio', s3Url: 'http://minio.velero.svc:9000', s3ForcePathStyle: 'true', publicUrl: 'https://x:1' },
      { ...S3, region: 'minio', endpoint: 'http://minio.velero.svc:9000', forcePathStyle: true },
    ],
    [
      'a final slash',
      'aws',
      { s3Url: 'https://s3.example/' },
      { ...S3, endpoint: 'https://s3.example', forcePathStyle: true },
    ],
    [
      'no path style, said',
      'aws',
      { s3Url: 'https://s3.example', s3ForcePathStyle: 'false' },
      { ...S3, endpoint: 'https://s3.example' },
    ],
    ['TLS not verified', 'aws', { insecureSkipTLSVerify: 'T' }, { ...S3, insecureSkipTlsVerify: true }],
    ['profile', 'aws', { profile: 'backup' }, { ...S3, profile: 'backup' }],
    ['a KMS key', 'aws', { kmsKeyId: 'alias/k' }, { ...S3, kmsKeyId: 'alias/k' }],
    ['a KMS key goes first', 'aws', { kmsKeyId: 'k', serverSideEncryption: 'AES256' }, { ...S3, kmsKeyId: 'k' }],
    ['server-side encryption', 'aws', { serverSideEncryption: 'AES256' }, { ...S3, serverSideEncryption: 'AES256' }],
    ['tags', 'aws', { tagging: 'a=b&c=' }, { ...S3, tagging: 'a=b&c=' }],
    ['a checksum', 'aws', { checksumAlgorithm: 'crc32c' }, { ...S3, checksumAlgorithm: 'CRC32C' }],
    ['no checksum', 'aws', { checksumAlgorithm: '' }, { ...S3, checksumAlgorithm: 'none' }],
    ['keys without effect', 'aws', { signatureVersion: '4', enableSharedConfig: 'true' }, S3],
    [
      'a store of another plugin',
      'alibabacloud',
      { s3Url: 'https://oss-cn-hangzhou.aliyuncs.com', network: 'internal' },
      { ...S3, endpoint: 'https://oss-cn-hangzhou.aliyuncs.com' },
    ],
    [
      'a full name of another plugin',
      'example.com/r2',
      { s3Url: 'https://id.r2.cloudflarestorage.com', checksumAlgorithm: '' },
      { ...S3, endpoint: 'https://id.r2.cloudflarestorage.com', checksumAlgorithm: 'none', forcePathStyle: true },
    ],
    ['an account', 'azure', { storageAccount: 'account1' }, AZURE],
    [
      'an account with a key',
      'velero.io/azure',
      { storageAccount: 'account1', storageAccountKeyEnvVar: 'KEY_1', subscriptionId: 's', resourceGroup: 'g' },
      { ...AZURE, accountKeyVariable: 'KEY_1', subscriptionId: 's', resourceGroup: 'g' },
    ],
    [
      'Entra ID',
      'azure',
      { storageAccount: 'account1', useAAD: 'true', activeDirectoryAuthorityURI: 'https://login.microsoftonline.us/' },
      { ...AZURE, useAad: true, authority: 'https://login.microsoftonline.us' },
    ],
    [
      'an endpoint',
      'azure',
      { storageAccount: 'account1', storageAccountURI: 'http://127.0.0.1:10000/account1/' },
      { ...AZURE, endpoint: 'http://127.0.0.1:10000/account1' },
    ],
    [
      'blocks',
      'azure',
      { storageAccount: 'account1', blockSizeInBytes: '4194304' },
      { ...AZURE, blockSizeBytes: 4194304 },
    ],
    [
      'huge blocks',
      'azure',
      { storageAccount: 'account1', blockSizeInBytes: '999999999' },
      { ...AZURE, blockSizeBytes: 104857600 },
    ],
    ['no blocks', 'azure', { storageAccount: 'account1', blockSizeInBytes: 'many' }, AZURE],
    ['a bucket of Google Cloud', 'gcp', { serviceAccount: 'x@y' }, GCS],
    [
      'every key of Google Cloud',
      'velero.io/gcp',
      { kmsKeyName: 'projects/p', storeEndpoint: 'storage-x.p.googleapis.com', universeDomain: 'u.example' },
      { ...GCS, kmsKeyName: 'projects/p', endpoint: 'https://storage-x.p.googleapis.com', universeDomain: 'u.example' },
    ],
    ['credentials of the configuration', 'gcp', { credentialsFile: '/c' }, { ...GCS, credentialsFile: '/c' }],
    ['a folder', 'velero.io/fs', { fspath: '/mnt/backups' }, { kind: 'folder', path: '/mnt/backups/kopia/demo' }],
  ];
  for (const [what, provider, config, expected] of rows) {
    test(`${provider}: ${what}`, async () => {
      assert.deepEqual(await storeOf(provider, config), { store: expected, readOnly: false });
    });
  }
});

describe('what is refused', () => {
  const rows: readonly (readonly [string, string, Record<string, string>, string])[] = [
    ['a provider without an S3 interface', 'example.com/tape', {}, 'LOCATION_UNSUPPORTED'],
    ['a customer key in a file', 'aws', { customerKeyEncryptionFile: '/k' }, 'STORE_SSE_C_UNSUPPORTED'],
    ['a customer key in a Secret', 'aws', { customerKeyEncryptionSecret: 's/k' }, 'STORE_SSE_C_UNSUPPORTED'],
    ['a key that the plugin does not know', 'aws', { s3URL: 'http://x' }, 'LOCATION_INVALID'],
    ['an unknown key of Azure', 'azure', { storageAccount: 'account1', region: 'x' }, 'LOCATION_INVALID'],
    ['an unknown key of Google Cloud', 'gcp', { region: 'x' }, 'LOCATION_INVALID'],
    ['no account', 'azure', {}, 'LOCATION_INVALID'],
    ['an account that would be another host', 'azure', { storageAccount: 'evil.example/' }, 'LOCATION_INVALID'],
    ['a path in the endpoint', 'aws', { s3Url: 'https://x/y' }, 'LOCATION_INVALID'],
    ['a password in the endpoint', 'aws', { s3Url: 'https://a:b@x' }, 'LOCATION_INVALID'],
    ['an endpoint without a scheme', 'aws', { s3Url: 'minio:9000' }, 'LOCATION_INVALID'],
    ['neither true nor false', 'aws', { s3ForcePathStyle: 'yes' }, 'LOCATION_INVALID'],
    ['an unknown checksum', 'aws', { checksumAlgorithm: 'MD4' }, 'LOCATION_INVALID'],
    ['a tag without a value', 'aws', { tagging: 'a&b=c' }, 'LOCATION_INVALID'],
    ['eleven tags', 'aws', { tagging: Array.from({ length: 11 }, (_, n) => `k${n}=v`).join('&') }, 'LOCATION_INVALID'],
    ['a relative folder', 'velero.io/fs', { fspath: 'backups' }, 'LOCATION_INVALID'],
  ];
  for (const [what, provider, config, code] of rows) {
    test(`${provider}: ${what}`, async () => {
      await assert.rejects(storeOf(provider, config), (error) => hasCode(error, code));
    });
  }
  test('a bucket with a slash, and none', async () => {
    for (const bucket of ['a/b', '']) {
      await assert.rejects(storeOf('aws', {}, { objectStorage: { bucket } }), { code: 'LOCATION_INVALID' });
    }
  });
});

describe('what is given beside the object', () => {
  const spec = {
    provider: 'aws',
    objectStorage: { bucket: 'velero', caCert: Buffer.from(PEM).toString('base64') },
    config: {},
  };
  test('a read-only location', async () => {
    assert.equal((await storeOf('aws', {}, { accessMode: 'ReadOnly' })).readOnly, true);
    await assert.rejects(storeOf('aws', {}, { accessMode: 'readonly' }), { code: 'LOCATION_INVALID' });
  });
  test('credentials in a Secret must be given', async () => {
    const withSecret = await parsed({ ...spec, credential: { name: 'bsl', key: 'cloud' } });
    assert.throws(
      () => locationStore(withSecret, { volumeNamespace: 'demo' }),
      /key cloud of Secret bsl.*--credentials-file/,
    );
    const { store } = locationStore(withSecret, { volumeNamespace: 'demo', credentialsFile: '/run/cloud' });
    assert.deepEqual(store, { ...S3, caCertPem: PEM, credentialsFile: '/run/cloud' });
  });
  test('a certificate in a Secret must be given', async () => {
    const objectStorage = { bucket: 'velero', caCertRef: { name: 'ca', key: 'tls.crt' } };
    const withSecret = await parsed({ ...spec, objectStorage });
    assert.throws(() => locationStore(withSecret, { volumeNamespace: 'demo' }), /key tls.crt of Secret ca.*--ca-cert/);
    const { store } = locationStore(withSecret, { volumeNamespace: 'demo', caCertPem: 'other' });
    assert.deepEqual(store, { ...S3, caCertPem: 'other' });
  });
});

describe('files', () => {
  const yaml = (name: string, isDefault: boolean): string =>
    [
      'apiVersion: velero.io/v1',
      'kind: BackupStorageLocation',
      'metadata:',
      `  name: ${name}`,
      'spec:',
      '  provider: aws',
      `  default: ${isDefault}`,
      '  objectStorage: {bucket: velero}',
      '  config: {s3ForcePathStyle: "true"}',
    ].join('\n');
  const nameIn = async (text: string): Promise<string> => (await parseLocation(text)).name;

  test('YAML, JSON, lists and several documents', async () => {
    const one = location({ provider: 'aws', objectStorage: { bucket: 'b' } }, 'one');
    const two = location({ provider: 'aws', default: true, objectStorage: { bucket: 'b' } }, 'two');
    assert.equal(await nameIn(yaml('one', false)), 'one');
    assert.equal(await nameIn(`\uFEFF${JSON.stringify(one)}`), 'one');
    assert.equal(await nameIn(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [one, two] })), 'two');
    assert.equal(await nameIn(`apiVersion: v1\nkind: Secret\n---\n${yaml('only', false)}\n---\n`), 'only');
    assert.equal(await nameIn(`${yaml('a', false)}\n---\n${yaml('b', true)}`), 'b');
    const { kind: _kind, apiVersion, ...bare } = one;
    assert.equal(await nameIn(JSON.stringify({ apiVersion, kind: 'BackupStorageLocationList', items: [bare] })), 'one');
    assert.equal(
      await nameIn(
        '{apiVersion: velero.io/v1, kind: BackupStorageLocation, metadata: {name: flow}, spec: {provider: aws}}',
      ),
      'flow',
    );
  });

  const bad: readonly (readonly [string, string])[] = [
    ['nothing', ''],
    ['words', 'hello'],
    ['not YAML', 'a: [1, 2'],
    ['another kind', 'apiVersion: v1\nkind: Secret'],
    ['another version', yaml('x', false).replace('velero.io/v1', 'velero.io/v9')],
    ['two without a default', `${yaml('a', false)}\n---\n${yaml('b', false)}`],
    ['two defaults', `${yaml('a', true)}\n---\n${yaml('b', true)}`],
    ['a value that is no string', yaml('a', false).replace('"true"', 'true')],
    ['a key twice', `${yaml('a', false)}\n  provider: gcp`],
    ['too long', `#${'x'.repeat(1 << 20)}`],
    ['too deep', '['.repeat(200_000)],
    ['aliases without end', aliases()],
    ['a certificate that is none', yaml('a', false).replace('bucket: velero', 'bucket: velero, caCert: aGVsbG8=')],
    ['a spec that is a list', 'apiVersion: velero.io/v1\nkind: BackupStorageLocation\nspec: []'],
  ];
  for (const [what, text] of bad) {
    test(`refused: ${what}`, async () => {
      await assert.rejects(parseLocation(text), (error) => {
        assert.ok(hasCode(error, 'LOCATION_INVALID'), String(error));
        assert.ok(error instanceof Error && error.message.length < 400 && !error.message.includes('\n'));
        return true;
      });
    });
  }
});

/** Each name is ten of the one before it. */
function aliases(): string {
  const lines = ['a0: &a0 x'];
  for (let level = 1; level < 12; level++) {
    lines.push(`a${level}: &a${level} [${Array.from({ length: 10 }, () => `*a${level - 1}`).join(', ')}]`);
  }
  return lines.join('\n');
}
