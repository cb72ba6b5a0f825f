// What S3 says in XML, of which few members count. The text is anybody's: nothing here takes longer than one look at each byte.

export interface S3ListPage {
  readonly blobs: readonly { readonly key: string; readonly length: number; readonly lastModified: Date | undefined }[];
  /** Keys are percent-encoded. */
  readonly isEncoded: boolean;
  readonly isTruncated: boolean;
  readonly nextToken: string | undefined;
}

/** Undefined when that is no list. */
export function parseListPage(xml: string): S3ListPage | undefined {
  if (!xml.includes('<ListBucketResult')) return undefined;
  const blobs: S3ListPage['blobs'][number][] = [];
  let at = xml.indexOf('<Contents>');
  const head = at < 0 ? xml : xml.slice(0, at);
  let tail = '';
  while (at >= 0) {
    const end = xml.indexOf('</Contents>', at);
    if (end < 0) return undefined;
    const entry = xml.slice(at, end);
    const time = Date.parse(elementOf(entry, 'LastModified') ?? '');
    blobs.push({
      key: elementOf(entry, 'Key') ?? '',
      length: Number(elementOf(entry, 'Size') ?? 0),
      lastModified: Number.isNaN(time) ? undefined : new Date(time),
    });
    const next = xml.indexOf('<Contents>', end);
    if (next < 0) tail = xml.slice(end);
    at = next;
  }
  const around = head + tail;
  return {
    blobs,
    isEncoded: elementOf(around, 'EncodingType') === 'url',
    isTruncated: elementOf(around, 'IsTruncated') === 'true',
    nextToken: elementOf(around, 'NextContinuationToken'),
  };
}

/** The store's word for a refusal; undefined where it has none. */
export function errorCodeOf(xml: string): string | undefined {
  return xml.includes('<Error') ? elementOf(xml, 'Code') : undefined;
}

/** The text of the first element with this name. */
function elementOf(xml: string, name: string): string | undefined {
  const start = xml.indexOf(`<${name}>`);
  if (start < 0) return undefined;
  const from = start + name.length + 2;
  const end = xml.indexOf('<', from);
  return end < 0 ? undefined : unescape(xml.slice(from, end));
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescape(text: string): string {
  if (!text.includes('&')) return text;
  return text.replaceAll(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|([a-z]{2,4}));/g, (whole, decimal, hex, name) => {
    if (typeof name === 'string') return ENTITIES[name] ?? whole;
    const code = typeof hex === 'string' ? Number.parseInt(hex, 16) : Number(decimal);
    return code <= 0x10_ffff ? String.fromCodePoint(code) : whole;
  });
}
