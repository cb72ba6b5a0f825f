// Tells the init container how its restore ended, or takes back what was done for it. Markers stay: the init container is run again
// when the node was started anew, and finds them (docs/design/0009).
import type { MarkJob } from '../datapath/job.ts';
import { closeRoot, openClosedRoot, readBegunMarker, readDoneMarker, writeFailureMarker } from '../host/markers.ts';
import { openVolume } from '../host/volume-root.ts';

/** What the root's permission bits were before it was opened, if it was closed. */
export function runMarkJob({ volume: place, restoreUid, mark }: MarkJob): number | undefined {
  const volume = openVolume(place);
  try {
    switch (mark.outcome) {
      case 'over':
        closeRoot(volume, mark.rootMode);
        return undefined;
      case 'seen-again':
        break;
      case 'failed': {
        const { code, message, name, uid } = mark;
        const { by } = readDoneMarker(volume, restoreUid) ?? readBegunMarker(volume, restoreUid) ?? {};
        if (by !== undefined && by.uid !== uid) return undefined;
        writeFailureMarker(volume, restoreUid, { code, message, podVolumeRestore: name });
        break;
      }
    }
    return openClosedRoot(volume);
  } finally {
    volume.close();
  }
}
