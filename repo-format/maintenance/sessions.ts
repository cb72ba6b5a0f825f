// Sessions that have a marker (repository format §9.1): writers at work, or dead ones whose marker was left behind. Their
// packs must stay although no index names them (snapshots §7.7).
import { hasCode, WindlassError } from '../../base/errors.ts';
import { parseTimestampNs } from '../../base/go-time.ts';
import type { BlobId, BlobStorage } from '../blob/storage.ts';
import type { SessionId } from '../content/session.ts';
import type { ContentCipher } from '../crypto/content-cipher.ts';
import { openBlob } from '../epoch/encrypted-blob.ts';
import { parseObject, stringMember } from '../format/json-members.ts';

export const SESSION_PREFIX = 's';

export interface SessionInfo {
  readonly id: SessionId;
  /** The last sign of life, by the writer's own clock, Unix ms. */
  readonly checkpointTimeMs: number;
  readonly username: string;
  readonly hostname: string;
}

/** A marker has some 200 bytes; what is much longer is none. */
const MAX_MARKER_BYTES = 1 << 20;

/** The session that a pack, an index blob or a marker belongs to; undefined for none. */
export function sessionOf(id: BlobId): SessionId | undefined {
  const [, ...parts] = id.split('-');
  return parts.find((part) => part.startsWith(SESSION_PREFIX)) as SessionId | undefined;
}

/**
 * Sessions by id, with their latest marker each. `SESSION_MARKER_INVALID` or `BLOB_CORRUPT` for a marker that cannot be
 * read: whose packs must stay is not known then, so nothing may be deleted.
 */
export async function loadSessions(
  deps: { readonly storage: BlobStorage; readonly cipher: ContentCipher },
  signal: AbortSignal,
): Promise<Map<SessionId, SessionInfo>> {
  const sessions = new Map<SessionId, SessionInfo>();
  for await (const { id, length } of deps.storage.listBlobs(SESSION_PREFIX, signal)) {
    const sessionId = sessionOf(id);
    if (sessionId === undefined || length > MAX_MARKER_BYTES) throw markerInvalid(id);
    let sealed: Uint8Array;
    try {
      sealed = await deps.storage.getBlob(id, undefined, signal);
    } catch (error) {
      if (hasCode(error, 'BLOB_NOT_FOUND')) continue; // its session has ended meanwhile
      throw error;
    }
    const info = parseMarker(id, sessionId, openBlob(deps.cipher, id, sealed));
    const known = sessions.get(sessionId);
    if (known === undefined || info.checkpointTimeMs > known.checkpointTimeMs) sessions.set(sessionId, info);
  }
  return sessions;
}

function parseMarker(id: BlobId, sessionId: SessionId, plain: Uint8Array): SessionInfo {
  try {
    const json = parseObject(plain, 'session marker');
    const checkpointNs = parseTimestampNs(stringMember(json, 'checkpointTime'));
    if (checkpointNs === undefined) throw new TypeError('checkpointTime is not a time');
    return {
      id: sessionId,
      checkpointTimeMs: Number(checkpointNs / 1_000_000n),
      username: stringMember(json, 'username'),
      hostname: stringMember(json, 'hostname'),
    };
  } catch (cause) {
    throw markerInvalid(id, cause);
  }
}

function markerInvalid(id: BlobId, cause?: unknown): WindlassError {
  return new WindlassError(`session marker ${id} cannot be read`, {
    code: 'SESSION_MARKER_INVALID',
    context: { blobId: id },
    ...(cause === undefined ? {} : { cause }),
  });
}
