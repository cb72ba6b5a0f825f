// The folders of node_modules that the published package needs, from the lock file.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly devOptional?: boolean }>>;
}

// The image brings its own Node.
const LEFT_OUT = /^node_modules\/node-/;

export function productionPackages(root: string): string[] {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock; // npm's own format
  return (
    Object.entries(lock.packages)
      .filter(
        ([path, { dev, devOptional }]) => path !== '' && dev !== true && devOptional !== true && !LEFT_OUT.test(path),
      )
      .map(([path]) => path)
      // Packages inside of packages come with them.
      .filter((path) => path.lastIndexOf('node_modules/') === 0)
      .filter((path) => existsSync(join(root, path)))
  );
}
