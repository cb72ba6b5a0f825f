// Every algorithm of the format at least once, in as few repositories as will do: a row is one repository. Names are spelled
// out here, not taken from our registries, so that a name missing there is noticed.
export const HASHES = [
  'BLAKE2B-256-128',
  'BLAKE2B-256',
  'BLAKE2S-128',
  'BLAKE2S-256',
  'BLAKE3-256',
  'BLAKE3-256-128',
  'HMAC-SHA256',
  'HMAC-SHA256-128',
  'HMAC-SHA224',
  'HMAC-SHA3-224',
  'HMAC-SHA3-256',
] as const;

export const ENCRYPTIONS = ['AES256-GCM-HMAC-SHA256', 'CHACHA20-POLY1305-HMAC-SHA256'] as const;

const SPLITTER_SIZES = ['128K', '256K', '512K', '1M', '2M', '4M', '8M'] as const;
export const SPLITTERS = [
  ...SPLITTER_SIZES.flatMap((size) => [`FIXED-${size}`, `DYNAMIC-${size}-BUZHASH`, `DYNAMIC-${size}-RABINKARP`]),
  'FIXED',
  'DYNAMIC',
];

/** Those that kopia 0.23 writes. */
export const COMPRESSORS = [
  'none',
  'gzip',
  'gzip-best-speed',
  'gzip-best-compression',
  'zstd',
  'zstd-fastest',
  'zstd-better-compression',
  's2-default',
  's2-better',
  's2-parallel-4',
  's2-parallel-8',
  'pgzip',
  'pgzip-best-speed',
  'pgzip-best-compression',
  'deflate-default',
  'deflate-best-speed',
  'deflate-best-compression',
] as const;

const ECC_PERCENTS = [1, 2, 5, 10, 30, 100] as const;

export interface AlgorithmRow {
  readonly creator: 'windlass' | 'kopia';
  readonly hash: string;
  readonly encryption: string;
  readonly splitter: string;
  readonly compressor: string;
  readonly formatVersion: 1 | 2 | 3;
  readonly eccPercent: number;
}

/** One row a splitter (the longest list); hash, compressor, version, encryption and error correction take turns of other lengths. */
export function algorithmRows(): AlgorithmRow[] {
  return SPLITTERS.map((splitter, n) => {
    const formatVersion = at([3, 3, 2, 1] as const, n);
    return {
      // Turns of two against turns of four: each program creates each version.
      creator: (n >> 2) % 2 === 0 ? 'windlass' : 'kopia',
      hash: at(HASHES, n),
      encryption: at(ENCRYPTIONS, n % 3 === 0 ? 1 : 0),
      splitter,
      compressor: at(COMPRESSORS, n),
      formatVersion,
      eccPercent: formatVersion === 3 && n % 4 === 1 ? at(ECC_PERCENTS, n >> 2) : 0,
    };
  });
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index % list.length];
  if (item === undefined) throw new Error('empty list');
  return item;
}

export function rowTitle(row: AlgorithmRow): string {
  const ecc = row.eccPercent > 0 ? `, ECC ${row.eccPercent} %` : '';
  const cipher = row.encryption.startsWith('AES') ? 'AES' : 'ChaCha20';
  return `v${row.formatVersion} by ${row.creator}: ${row.hash}, ${cipher}, ${row.splitter}, ${row.compressor}${ecc}`;
}
