// Fills a repository so that collecting it takes what an index of many contents takes: half of the contents are in a snapshot,
// the other half are garbage of three days ago. File contents are in the index alone: collection never reads those.
import { systemClock } from '../../base/clock.ts';
import { systemRandom } from '../../base/random.ts';
import { writeIndexShards } from '../../repo-format/epoch/write-index.ts';
import { createContentCipher } from '../../repo-format/crypto/content-cipher.ts';
import { cipherSpecOf } from '../../repo-format/format/repository-config.ts';
import { createKeyedHash } from '../../repo-format/hash/keyed-hash.ts';
import {
  createEntry,
  EMPTY_STATS,
  encodeDirectory,
  encodeEntry,
  openFilesystemStorage,
  Repository,
  saveSnapshot,
  SummaryBuilder,
  type BlobId,
  type ContentId,
  type ObjectId,
  type SessionId,
} from '../../repo-format/index.ts';
import { IndexBuilder } from '../../repo-format/index/index-builder.ts';
const CONTENTS_A_PACK = 100;
const FILES_A_DIRECTORY = 1000;
const CONTENTS_AN_INDEX = 250_000;
const signal = new AbortController().signal;
const deps = { clock: systemClock, random: systemRandom };

export interface Collection {
  readonly path: string;
  readonly password: string;
  readonly contents: number;
}

/** Creates the repository in a folder. */
export async function makeCollection({ path, password, contents }: Collection): Promise<void> {
  const storage = await openFilesystemStorage({ path, create: 'current' }, deps);
  await using repository = await Repository.create({ storage, password }, deps, signal);
  const { format } = repository;
  const { config } = format;
  const hash = createKeyedHash(config.hash, config.secret);
  const cipher = createContentCipher(cipherSpecOf(config));
  const timestampSeconds = Math.floor(Date.now() / 1000) - 3 * 86_400;
  const fixed = { mode: 0o644, mtimeSeconds: 0, mtimeNanos: 0, uid: 0, gid: 0 };
  const directories: string[] = [];
  let texts: string[] = [];
  for (let first = 0; first < contents; first += CONTENTS_AN_INDEX) {
    const builder = new IndexBuilder();
    let packId = '' as BlobId;
    for (let number = first; number < Math.min(contents, first + CONTENTS_AN_INDEX); number++) {
      if (number % CONTENTS_A_PACK === 0) packId = `p${random(16)}-s0011223344556677145` as BlobId;
      const id = random(16) as ContentId;
      const place = { packId, packOffset: (number % CONTENTS_A_PACK) * 200_000, packedLength: 200_000 };
      const facts = { originalLength: 200_000 - 28, compressionId: 0, formatVersion: 3, encryptionKeyId: 0 };
      builder.addEntry({ id, ...place, ...facts, timestampSeconds, deleted: false });
      if (number % 2 === 0) continue;
      const name = `file-${number}`.padEnd(16, 'x');
      texts.push(
        encodeEntry(createEntry({ ...fixed, name, type: 'f', size: 199_972, objectId: id as string as ObjectId })),
      );
      if (texts.length < FILES_A_DIRECTORY) continue;
      directories.push(await storeDirectory(repository, [], texts));
      texts = [];
    }
    const sessionId = `s${random(8)}145` as SessionId;
    await writeIndexShards(
      { storage, cipher, hash, config, sessionId, clock: systemClock },
      builder.build({ version: 2 }),
      signal,
    );
  }
  const children = directories.map((objectId, number) =>
    encodeEntry(
      createEntry({ ...fixed, name: `${number}`.padStart(6, '0'), type: 'd', objectId: objectId as ObjectId }),
    ),
  );
  const root = await storeDirectory(repository, children, []);
  saveSnapshot(repository.manifests, {
    source: { host: 'host', userName: 'user', path: '/data' },
    description: '',
    startTimeNs: systemClock.nowNs(),
    endTimeNs: systemClock.nowNs(),
    stats: EMPTY_STATS,
    rootEntry: createEntry({ ...fixed, name: 'data', type: 'd', objectId: root as ObjectId }),
  });
  await repository.flush(signal);
}

function storeDirectory(repository: Repository, dirEntryTexts: string[], otherEntryTexts: string[]): Promise<string> {
  const summary = new SummaryBuilder().build(0, 0);
  const bytes = encodeDirectory({ dirEntryTexts, otherEntryTexts, summary });
  return repository.writeContent('k', bytes, 'zstd-fastest', signal);
}

function random(bytes: number): string {
  return Buffer.from(systemRandom.bytes(bytes)).toString('hex');
}
