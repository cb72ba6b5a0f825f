import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorCodeOf, parseListPage } from './s3-xml.ts';

const contents = (key: string): string =>
  `<Contents><Key>${key}</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>&quot;x&quot;</ETag><Size>12</Size><Owner><ID>o</ID></Owner></Contents>`;

test('a page of a list', () => {
  const page = parseListPage(
    `<?xml version="1.0"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><EncodingType>url</EncodingType>` +
      `<IsTruncated>true</IsTruncated>${contents('a/p1')}\n${contents('a/p2&amp;&lt;&#x41;&#66;&odd;')}` +
      `<CommonPrefixes><Prefix>a/b/</Prefix></CommonPrefixes><NextContinuationToken>t&amp;1</NextContinuationToken></ListBucketResult>`,
  );
  const lastModified = new Date('2026-01-02T03:04:05.678Z');
  assert.deepEqual(page, {
    blobs: [
      { key: 'a/p1', length: 12, lastModified },
      { key: 'a/p2&<AB&odd;', length: 12, lastModified },
    ],
    isEncoded: true,
    isTruncated: true,
    nextToken: 't&1',
  });
});

test('nothing in it, and no list', () => {
  assert.deepEqual(parseListPage('<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'), {
    blobs: [],
    isEncoded: false,
    isTruncated: false,
    nextToken: undefined,
  });
  assert.equal(parseListPage('<html><body>sign in here</body></html>'), undefined);
  assert.equal(parseListPage(''), undefined);
  assert.equal(parseListPage('<ListBucketResult><Contents><Key>p1</Key>'), undefined);
});

test('the word of a refusal', () => {
  assert.equal(
    errorCodeOf('<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>x</Message></Error>'),
    'NoSuchKey',
  );
  assert.equal(errorCodeOf('<html><Code>x</Code></html>'), undefined);
  assert.equal(errorCodeOf(''), undefined);
});

test('a hostile page takes no longer than its length', { timeout: 60_000 }, () => {
  const many = '<Contents>'.repeat(1_000_000);
  assert.equal(parseListPage(`<ListBucketResult>${many}`), undefined);
  assert.equal(parseListPage(`<ListBucketResult>${'<Contents><Key>'.repeat(10)}</Contents>`)?.blobs.length, 1);
});
