// Third step: the snapshots, newest first, and a search over them.
import { findEntries } from '../../../mover/browse/find-entries.ts';
import { parseGlob } from '../../../mover/browse/glob.ts';
import type { Repository } from '../../../repo-format/repository.ts';
import type { SnapshotManifest } from '../../../repo-format/snapshot/snapshot-manifest.ts';
import { listSnapshots } from '../../../repo-format/snapshot/snapshots.ts';
import { formatSource } from '../../../repo-format/snapshot/source.ts';
import { showDirectory } from './browse-view.ts';
import { el, guarded, say, show, sizeText, timeText } from './dom.ts';
import { download } from './download.ts';

const MAX_FOUND = 1000;

export async function showSnapshots(repository: Repository): Promise<void> {
  const signal = new AbortController().signal;
  let unreadable = 0;
  const snapshots = await listSnapshots(repository.manifests, { onCorrupt: () => unreadable++ }, signal);
  snapshots.reverse();
  if (unreadable > 0) say(`${unreadable} snapshots cannot be read and are not shown`);
  const back = (): Promise<void> => showSnapshots(repository);
  const item = (snapshot: SnapshotManifest): HTMLElement => {
    const { source, stats, incomplete, description } = snapshot;
    const openIt = guarded(() => showDirectory({ repository, snapshot, back }, ''));
    const facts = [
      timeText(snapshot.startTimeNs),
      `${stats.fileCount} files`,
      sizeText(stats.totalSize),
      incomplete === undefined ? '' : `incomplete: ${incomplete}`,
      description,
    ];
    return el(
      'li',
      {},
      el('button', { class: 'link snapshot', click: openIt }, formatSource(source)),
      el('span', { class: 'soft' }, facts.filter((fact) => fact !== '').join(' · ')),
    );
  };
  show(
    searchCard(repository, snapshots, back),
    el(
      'section',
      { class: 'card' },
      el('h2', {}, `Snapshots (${snapshots.length})`),
      el('ul', { class: 'list', id: 'snapshots' }, ...snapshots.map(item)),
    ),
  );
}

function searchCard(
  repository: Repository,
  snapshots: readonly SnapshotManifest[],
  back: () => Promise<void>,
): Element {
  const pattern = el('input', {
    id: 'pattern',
    placeholder: '*.pdf, report*, app/**/config.yaml',
    'aria-label': 'Pattern',
  });
  const results = el('ul', { class: 'list', id: 'found' });
  let running = new AbortController();
  const form = el(
    'form',
    { class: 'card', id: 'search-form' },
    el('h2', {}, 'Search in all snapshots'),
    el('div', { class: 'row' }, pattern, el('button', { type: 'submit' }, 'Search')),
    results,
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    running.abort();
    const { signal } = (running = new AbortController());
    results.replaceChildren();
    guarded(async () => {
      let count = 0;
      for await (const { entry, path, manifest } of findEntries(
        repository,
        snapshots,
        parseGlob(pattern.value),
        signal,
      )) {
        if (signal.aborted) return;
        const at = { repository, snapshot: manifest, back };
        const go = entry.type === 'd' ? () => showDirectory(at, path) : () => download(repository, entry);
        results.append(
          el(
            'li',
            {},
            el('button', { class: 'link', click: guarded(go) }, path),
            el('span', { class: 'soft' }, `${timeText(manifest.startTimeNs)} · ${sizeText(entry.size)}`),
          ),
        );
        if (++count >= MAX_FOUND) break;
      }
      if (count === 0) results.append(el('li', {}, 'Nothing found.'));
      else if (count >= MAX_FOUND) results.append(el('li', {}, `The first ${MAX_FOUND}; search for less.`));
    })();
  });
  return form;
}
