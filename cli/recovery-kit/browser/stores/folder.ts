// Files of a dropped or chosen folder, read by ranges and never as a whole.
import type { BlobFile } from './blob-files.ts';

export function fileAsBlob(file: File, path: string): BlobFile {
  return {
    path,
    length: file.size,
    timestampMs: file.lastModified,
    read: async (offset, length) => new Uint8Array(await file.slice(offset, offset + length).arrayBuffer()),
  };
}

/** What was dropped: files with their paths, folders walked. `progress` hears how many files were found so far. */
export async function droppedFiles(
  items: DataTransferItemList,
  progress: (files: number) => void,
): Promise<BlobFile[]> {
  // All at once: the list is gone after the first wait.
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const found: BlobFile[] = [];
  for (let entry = entries.pop(); entry !== undefined; entry = entries.pop()) {
    const path = entry.fullPath.replace(/^\/+/, '');
    if (entry.isDirectory) entries.push(...(await children(entry as FileSystemDirectoryEntry)));
    else found.push(fileAsBlob(await fileOf(entry as FileSystemFileEntry), path));
    if (found.length % 100 === 0) progress(found.length);
  }
  return found;
}

export function chosenFiles(list: FileList): BlobFile[] {
  return [...list].map((file) => fileAsBlob(file, file.webkitRelativePath || file.name));
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

async function children(directory: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = directory.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    // Gives some at a time, an empty list at the end.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}
