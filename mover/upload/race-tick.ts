// Waiting for something, but not for ever.

/** True when `work` is done, false after `tickMs`; a rejection of `work` rejects. */
export async function raceTick(work: Promise<unknown>, tickMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const tick = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), tickMs);
  });
  try {
    return await Promise.race([work.then(() => true), tick]);
  } finally {
    clearTimeout(timer);
  }
}
