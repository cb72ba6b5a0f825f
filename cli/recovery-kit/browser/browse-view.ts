// A directory of a snapshot: go in, go up, save a file, save everything below as a tar archive.
import { joinPath, readDirectory, resolvePath } from '../../../mover/browse/resolve-path.ts';
import type { Repository } from '../../../repo-format/repository.ts';
import type { DirectoryEntry } from '../../../repo-format/snapshot/directory-entry.ts';
import type { SnapshotManifest } from '../../../repo-format/snapshot/snapshot-manifest.ts';
import { el, guarded, show, sizeText, timeText } from './dom.ts';
import { download, downloadTree, linkTarget } from './download.ts';

export interface Place {
  readonly repository: Repository;
  readonly snapshot: SnapshotManifest;
  readonly back: () => Promise<void>;
}

/** At most so many entries are shown at once; more on request. */
const PAGE = 500;

export async function showDirectory(place: Place, path: string): Promise<void> {
  const { repository, snapshot } = place;
  const signal = new AbortController().signal;
  const resolved = await resolvePath(repository, snapshot, path, signal);
  const { entries } =
    resolved.entry.type === 'd' ? await readDirectory(repository, resolved, signal) : { entries: [resolved.entry] };
  const list = el('ul', { class: 'list', id: 'entries' });
  const more = el('button', { type: 'button' }, 'Show more');
  let shown = 0;
  const showMore = async (): Promise<void> => {
    const next = entries.slice(shown, shown + PAGE);
    shown += next.length;
    for (const entry of next) list.append(await row(place, path, entry));
    more.hidden = shown >= entries.length;
  };
  more.addEventListener('click', guarded(showMore));
  await showMore();
  const name = path === '' ? 'snapshot' : path.slice(path.lastIndexOf('/') + 1);
  show(
    el(
      'section',
      { class: 'card' },
      breadcrumbs(place, path),
      el('p', { class: 'soft' }, `${timeText(snapshot.startTimeNs)} · ${entries.length} entries`),
      el(
        'button',
        { id: 'save-all', click: guarded(() => downloadTree(repository, resolved, name)) },
        'Save all as .tar',
      ),
      list,
      more,
    ),
  );
}

function breadcrumbs(place: Place, path: string): HTMLElement {
  const parts = path === '' ? [] : path.split('/');
  const crumb = (text: string, go: () => Promise<void>): HTMLElement =>
    el('button', { class: 'link', click: guarded(go) }, text);
  const crumbs = parts.flatMap((part, i) => [
    document.createTextNode(' / '),
    crumb(part, () => showDirectory(place, parts.slice(0, i + 1).join('/'))),
  ]);
  return el(
    'p',
    {},
    crumb('All snapshots', place.back),
    ' / ',
    crumb('root', () => showDirectory(place, '')),
    ...crumbs,
  );
}

async function row(place: Place, path: string, entry: DirectoryEntry): Promise<HTMLElement> {
  const { repository } = place;
  const facts = [modeText(entry), timeText(entry.mtimeNs)];
  if (entry.type === 'd') {
    const go = guarded(() => showDirectory(place, joinPath(path, entry.name)));
    facts.unshift(`${entry.summary?.files ?? '?'} files, ${sizeText(entry.summary?.size ?? 0)}`);
    return el('li', {}, el('button', { class: 'link', click: go }, `${entry.name}/`), soft(facts));
  }
  if (entry.type === 's') {
    const target = await linkTarget(repository, entry);
    return el('li', {}, el('span', {}, `${entry.name} → ${target}`), soft(facts));
  }
  const special = entry.extra?.special?.type;
  if (special !== undefined) return el('li', {}, el('span', {}, entry.name), soft([special, ...facts]));
  const save = guarded(() => download(repository, entry));
  return el(
    'li',
    {},
    el('button', { class: 'link file', click: save }, entry.name),
    soft([sizeText(entry.size), ...facts]),
    el('button', { class: 'side', click: save, 'aria-label': `Save ${entry.name}` }, 'Save'),
  );
}

function soft(facts: readonly string[]): HTMLElement {
  return el('span', { class: 'soft' }, facts.join(' · '));
}

function modeText({ mode, uid, gid }: DirectoryEntry): string {
  return `${mode.toString(8).padStart(4, '0')} ${uid}:${gid}`;
}
