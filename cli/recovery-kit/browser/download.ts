// Saves files: one, or a whole directory as a tar archive. Every piece is decrypted, authenticated and measured before it
// is handed to the browser; a file that is not whole is not saved.
import { listTree } from '../../../mover/browse/list-tree.ts';
import type { ResolvedEntry } from '../../../mover/browse/resolve-path.ts';
import type { Repository } from '../../../repo-format/repository.ts';
import type { DirectoryEntry } from '../../../repo-format/snapshot/directory-entry.ts';
import { el, say } from './dom.ts';
import { endOfTar, tarHeader, tarPadding } from './tar-writer.ts';

const PIECE_BYTES = 4 << 20;
const MAX_LEFT_OUT_SHOWN = 1000;
const signal = new AbortController().signal;

type Part = Uint8Array<ArrayBuffer>;

export async function download(repository: Repository, entry: DirectoryEntry): Promise<void> {
  const parts: Part[] = [];
  for await (const part of contentOf(repository, entry)) parts.push(part);
  save(new Blob(parts), entry.name.replaceAll('/', '_'));
}

export async function downloadTree(repository: Repository, root: ResolvedEntry, name: string): Promise<void> {
  const blobs: Blob[] = [];
  const leftOut: string[] = [];
  let files = 0;
  for await (const { entry, path } of listTree(repository, root, { recursive: true }, signal)) {
    const inside = root.path === '' || root.entry.type !== 'd' ? path : path.slice(root.path.length + 1);
    const special = entry.extra?.special?.type;
    if ((entry.extra?.xattrs?.length ?? 0) > 0) leftOut.push(`${inside}: its extended attributes`);
    if (special !== undefined) {
      leftOut.push(`${inside}: a ${special}`); // a tar reader of an ordinary user could not make it
      continue;
    }
    const target = entry.type === 's' ? await linkTarget(repository, entry) : '';
    const parts: Part[] = [tarHeader(entry, inside, target)];
    if (entry.type === 'f') {
      for await (const part of contentOf(repository, entry)) parts.push(part);
      parts.push(tarPadding(entry.size));
      if (++files % 20 === 0) say(`${files} files …`);
    }
    // A blob a file: browsers move large ones out of memory.
    blobs.push(new Blob(parts));
  }
  say(undefined);
  save(new Blob([...blobs, endOfTar()]), `${name}.tar`);
  showLeftOut(leftOut);
}

/** Nothing is lost in silence: `windlass snapshot restore` brings these back, the archive does not have them. */
function showLeftOut(leftOut: readonly string[]): void {
  document.getElementById('left-out')?.remove();
  if (leftOut.length === 0) return;
  const shown = leftOut.slice(0, MAX_LEFT_OUT_SHOWN).map((text) => el('li', {}, text));
  const more = leftOut.length - shown.length;
  const rest = more > 0 ? [el('li', {}, `and ${more} more`)] : [];
  const title = el('h2', {}, `${leftOut.length} things are not in the archive`);
  const card = el('section', { class: 'card', id: 'left-out' }, title, el('ul', { class: 'list' }, ...shown, ...rest));
  document.getElementById('main')?.append(card);
}

export async function linkTarget(repository: Repository, entry: DirectoryEntry): Promise<string> {
  if (entry.objectId === '') return '';
  return new TextDecoder().decode(await repository.readObject(entry.objectId, signal));
}

async function* contentOf(repository: Repository, entry: DirectoryEntry): AsyncGenerator<Part> {
  if (entry.objectId === '') return;
  const reader = await repository.openObject(entry.objectId, signal);
  if (reader.length !== entry.size)
    throw new Error(`${entry.name} has ${reader.length} bytes, its directory says ${entry.size}: it was not saved`);
  for (let at = 0; at < reader.length; at += PIECE_BYTES)
    yield Uint8Array.from(await reader.read(at, PIECE_BYTES, signal));
}

function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = el('a', { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  // Long enough for any browser to have begun.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
