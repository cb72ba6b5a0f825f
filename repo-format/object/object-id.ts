// Object ids in their text form: *"I" ["Z"] ["D"] content-id (snapshots §2.1).
import { WindlassError } from '../../base/errors.ts';
import type { ContentId } from '../index/content-id.ts';

declare const objectIdBrand: unique symbol;
/** A content id, with one `I` in front for each level of indirection; canonical, and never empty. */
export type ObjectId = string & { readonly [objectIdBrand]: true };

/** What an object id says. */
export interface ObjectIdParts {
  /** How many index objects must be read before the data. */
  readonly indirection: number;
  /** The content starts with a compression header of the object layer (repositories with index version 1). */
  readonly compressed: boolean;
  readonly contentId: ContentId;
}

// A file has one level up to some 100 GB, two far past any volume; more only costs a hostile id's reader time.
export const MAX_INDIRECTION = 8;

// Hash of 1…32 bytes behind at most one prefix letter (repository format §4.3).
const OBJECT_ID = /^(I*)(Z?)D?([g-z]?)((?:[0-9a-fA-F]{2}){1,32})$/;

// The form nearly every id has; tested first because directories hold one for each entry.
const PLAIN_OBJECT_ID = /^I?[g-z]?(?:[0-9a-f]{2}){1,32}$/;

export function isObjectId(text: string): text is ObjectId {
  return PLAIN_OBJECT_ID.test(text) || parseObjectIdParts(text)?.canonical === text;
}

/** `OBJECT_ID_INVALID` when `text` is not an object id; the empty id is not one. */
export function parseObjectId(text: string): ObjectId {
  if (PLAIN_OBJECT_ID.test(text)) return text as ObjectId;
  const parsed = parseObjectIdParts(text);
  if (parsed === undefined) throw invalidObjectId(text);
  return parsed.canonical;
}

export function objectIdParts(id: ObjectId): ObjectIdParts {
  const parsed = parseObjectIdParts(id);
  if (parsed === undefined) throw invalidObjectId(id);
  const { indirection, compressed, contentId } = parsed;
  return { indirection, compressed, contentId };
}

function parseObjectIdParts(text: string): (ObjectIdParts & { readonly canonical: ObjectId }) | undefined {
  const match = OBJECT_ID.exec(text);
  if (match === null) return undefined;
  const [, indirect = '', compress = '', prefix = '', hash = ''] = match;
  if (indirect.length > MAX_INDIRECTION || (indirect !== '' && compress !== '')) return undefined;
  const contentId = (prefix + hash.toLowerCase()) as ContentId;
  return {
    indirection: indirect.length,
    compressed: compress !== '',
    contentId,
    canonical: (indirect + compress + contentId) as ObjectId,
  };
}

/** The object that is one content. */
export function directObjectId(contentId: ContentId, compressed = false): ObjectId {
  return (compressed ? `Z${contentId}` : contentId) as string as ObjectId;
}

/** The object whose pieces are listed by the object `indexId`. */
export function indirectObjectId(indexId: ObjectId): ObjectId {
  return `I${indexId}` as ObjectId;
}

/** The object that lists the pieces, or undefined for a direct object. */
export function indexObjectId(id: ObjectId): ObjectId | undefined {
  return id.startsWith('I') ? (id.slice(1) as ObjectId) : undefined;
}

function invalidObjectId(text: string): WindlassError {
  return new WindlassError(`malformed object id ${JSON.stringify(text.slice(0, 100))}`, { code: 'OBJECT_ID_INVALID' });
}
