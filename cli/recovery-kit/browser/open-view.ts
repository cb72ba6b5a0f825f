// Second step: the password. Opens the repository with the engine's own code, read-only.
import { systemClock } from '../../../base/clock.ts';
import { toHex } from '../../../base/hex.ts';
import { systemRandom } from '../../../base/random.ts';
import type { BlobStorage } from '../../../repo-format/blob/storage.ts';
import { Repository } from '../../../repo-format/repository.ts';
import { el, guarded, say, show } from './dom.ts';
import type { KitData } from './kit-data.ts';
import { keyProgress } from './platform/crypto.ts';

/** The page only reads: nothing new is remembered. */
const NO_NEW_CONTENTS = 1024;

export function showPassword(kit: KitData, storage: BlobStorage, opened: (repository: Repository) => void): void {
  const password = el('input', { type: 'password', id: 'password', autocomplete: 'off' });
  const progress = el('progress', { max: '1', value: '0', hidden: true });
  const button = el('button', { type: 'submit', class: 'main' }, 'Open');
  const form = el(
    'form',
    { class: 'card', id: 'password-form' },
    el('h2', {}, 'Password of the repository'),
    el('p', { class: 'soft' }, storage.displayName),
    el('div', { class: 'row' }, password, button),
    progress,
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    button.disabled = true;
    progress.hidden = false;
    keyProgress.report = (done) => (progress.value = done);
    guarded(async () => {
      try {
        opened(await open(kit, storage, password.value));
      } finally {
        button.disabled = false;
        progress.hidden = true;
      }
    })();
  });
  show(form);
  password.focus();
}

async function open(kit: KitData, storage: BlobStorage, password: string): Promise<Repository> {
  const options = { storage, password, readOnly: true, localCopies: false, newContentsCapacity: NO_NEW_CONTENTS };
  const deps = { clock: systemClock, random: systemRandom };
  const repository = await Repository.open(options, deps, new AbortController().signal);
  if (kit.uniqueId !== '' && toHex(repository.format.uniqueId) !== kit.uniqueId)
    say('This is not the repository that the kit was made for; it opens all the same.');
  return repository;
}
