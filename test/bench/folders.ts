// What is in a folder, links not followed.
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Plain files below it. */
export function* filesBelow(folder: string): Generator<{ readonly name: string; readonly path: string }> {
  // Not `recursive`: that follows links, for ever when they make a ring.
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield { name: entry.name, path };
  }
}

export function countFiles(folder: string): number {
  let count = 0;
  for (const _ of filesBelow(folder)) count++;
  return count;
}

export function folderBytes(folder: string): number {
  let sum = 0;
  for (const { path } of filesBelow(folder)) sum += statSync(path).size;
  return sum;
}
