// The page of a recovery kit: source, password, snapshots. One self-contained script, bundled by `../bundle.ts`.
import { guarded, say } from './dom.ts';
import { readKitData } from './kit-data.ts';
import { showPassword } from './open-view.ts';
import { showSnapshots } from './snapshots-view.ts';
import { showSources } from './source-view.ts';

function start(): void {
  const kit = readKitData();
  const about = document.getElementById('about');
  if (about !== null) about.textContent = `Repository ${kit.uniqueId} at ${kit.location}; kit made ${kit.madeAt}`;
  showSources(kit, (storage) => {
    say(undefined);
    showPassword(kit, storage, (repository) => guarded(() => showSnapshots(repository))());
  });
}

start();
