// First step: where the repository is. A folder or archive on this machine, or a bucket.
import type { BlobStorage } from '../../../repo-format/blob/storage.ts';
import { el, guarded, say, show } from './dom.ts';
import type { KitData } from './kit-data.ts';
import { spareBlobs } from './kit-data.ts';
import { type BlobFile, BlobFileStorage, blobsBelow, repositoryRoots } from './stores/blob-files.ts';
import { chosenFiles, droppedFiles } from './stores/folder.ts';
import { S3ReadStorage } from './stores/s3.ts';
import { tarFiles } from './stores/tar.ts';
import { zipFiles } from './stores/zip.ts';

export function showSources(kit: KitData, chosen: (storage: BlobStorage) => void): void {
  const useFiles = async (files: readonly BlobFile[], archives: readonly File[]): Promise<void> => {
    const all = [...files];
    for (const archive of archives) all.push(...(await archiveFiles(archive)));
    if (all.length === 0) throw new Error('there are no files in it');
    const roots = repositoryRoots(all);
    const use = (root: string): void => chosen(fileStorage(kit, all, root));
    const [only] = roots;
    if (roots.length === 1 && only !== undefined) use(only);
    else showRoots(roots, use);
  };
  show(dropCard(useFiles), bucketCard(kit, chosen));
}

function fileStorage(kit: KitData, files: readonly BlobFile[], root: string): BlobStorage {
  const blobs = blobsBelow(files, root);
  if (blobs.size === 0) throw new Error('there is no repository in it');
  return new BlobFileStorage(root === '' ? 'the files' : root, blobs, spareBlobs(kit));
}

function dropCard(use: (files: readonly BlobFile[], archives: readonly File[]) => Promise<void>): HTMLElement {
  const folder = el('input', { type: 'file', webkitdirectory: true, hidden: true, id: 'folder' });
  const archive = el('input', { type: 'file', accept: '.tar,.tgz,.gz,.zip', hidden: true, id: 'archive' });
  folder.addEventListener(
    'change',
    guarded(() => use(chosenFiles(folder.files ?? new FileList()), [])),
  );
  archive.addEventListener(
    'change',
    guarded(() => use([], [...(archive.files ?? [])])),
  );
  const count = el('p', { class: 'soft' });
  const card = el(
    'section',
    { class: 'card drop', id: 'drop' },
    el('h2', {}, 'Drop the repository’s folder or an archive of it here'),
    el('p', { class: 'soft' }, 'A folder, a copied bucket, .tar, .tar.gz or .zip. It is read where it lies.'),
    el(
      'p',
      {},
      el('button', { type: 'button', click: () => folder.click() }, 'Choose a folder'),
      ' ',
      el('button', { type: 'button', click: () => archive.click() }, 'Choose an archive'),
    ),
    count,
    folder,
    archive,
  );
  card.addEventListener('dragover', (event) => {
    event.preventDefault();
    card.classList.add('over');
  });
  card.addEventListener('dragleave', () => card.classList.remove('over'));
  card.addEventListener('drop', (event) => {
    event.preventDefault();
    card.classList.remove('over');
    const transfer = event.dataTransfer;
    if (transfer === null) return;
    guarded(async () => {
      const files = await droppedFiles(transfer.items, (found) => (count.textContent = `${found} files …`));
      const [single] = files;
      const isArchive = files.length === 1 && single !== undefined && isArchiveName(single.path);
      await (isArchive ? use([], [...transfer.files]) : use(files, []));
    })();
  });
  return card;
}

function bucketCard(kit: KitData, chosen: (storage: BlobStorage) => void): HTMLElement {
  const known = knownBucket(kit.location);
  const field = (id: string, label: string, value: string, type = 'text'): HTMLLabelElement =>
    el('label', {}, label, el('input', { id, type, value, autocomplete: 'off', spellcheck: 'false' }));
  const form = el(
    'form',
    { class: 'card', id: 'bucket-form' },
    el('h2', {}, 'Or read it from a bucket'),
    el('p', { class: 'soft' }, 'An S3 endpoint that allows this page (CORS) to list, look and read ranges.'),
    field('endpoint', 'Endpoint', known.endpoint),
    field('bucket', 'Bucket', known.bucket),
    field('prefix', 'Prefix', known.prefix),
    field('region', 'Region', known.region),
    field('access-key', 'Access key ID (none for a public bucket)', ''),
    field('secret-key', 'Secret access key', '', 'password'),
    field('session-token', 'Session token', '', 'password'),
    el('button', { type: 'submit' }, 'Use this bucket'),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const value = (id: string): string => form.querySelector<HTMLInputElement>(`#${id}`)?.value.trim() ?? '';
    const place = {
      endpoint: value('endpoint'),
      bucket: value('bucket'),
      prefix: value('prefix'),
      region: value('region') || 'us-east-1',
      accessKeyId: value('access-key'),
      secretAccessKey: value('secret-key'),
      sessionToken: value('session-token'),
    };
    if (!/^https?:\/\/[^/]/.test(place.endpoint) || place.bucket === '')
      return say('an endpoint begins with https:// (or http://), and a bucket has a name');
    say(undefined);
    chosen(new S3ReadStorage(place, spareBlobs(kit)));
  });
  return form;
}

/** From `s3://bucket/prefix?endpoint=…&region=…`, as the command writes a repository's place. */
function knownBucket(location: string): { endpoint: string; bucket: string; prefix: string; region: string } {
  const none = { endpoint: '', bucket: '', prefix: '', region: '' };
  if (!location.startsWith('s3://')) return none;
  const url = new URL(location.replace(/^s3:/, 'http:'));
  const path = decodeURIComponent(url.pathname).replace(/^\/+/, '');
  return {
    endpoint: url.searchParams.get('endpoint') ?? '',
    bucket: url.host,
    prefix: path === '' || path.endsWith('/') ? path : `${path}/`,
    region: url.searchParams.get('region') ?? '',
  };
}

function showRoots(roots: readonly string[], use: (root: string) => void): void {
  const item = (root: string): HTMLElement =>
    el('li', {}, el('button', { class: 'link', click: guarded(async () => use(root)) }, root === '' ? '(here)' : root));
  show(
    el(
      'section',
      { class: 'card' },
      el('h2', {}, 'There are several repositories in it. Which one?'),
      el('ul', { class: 'list' }, ...roots.map(item)),
    ),
  );
}

function isArchiveName(name: string): boolean {
  return /\.(tar|tgz|tar\.gz|zip)$/i.test(name);
}

async function archiveFiles(file: File): Promise<BlobFile[]> {
  if (/\.zip$/i.test(file.name)) return zipFiles(file);
  return tarFiles(file, /gz$/i.test(file.name));
}
