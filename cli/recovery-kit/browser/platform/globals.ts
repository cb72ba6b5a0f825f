// Names that Node has everywhere, put in place of the free ones when the page is bundled.
export { Buffer } from 'buffer';

export const process = { versions: {}, env: {}, platform: 'browser', umask: () => 0 };

/** Shared memory is missing on pages that are plain files; with one thread an ordinary buffer does the same. */
export const SharedMemory = ArrayBuffer;
