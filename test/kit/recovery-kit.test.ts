// Recovery kits in a real headless Chromium: our own repositories and those of real Kopia, as folders and as archives.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { before, test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { BrowserPage, findChromium } from '../harness/browser.ts';
import { KOPIA_ALGORITHMS_FOLDER, kopiaAlgorithmNames, kopiaAlgorithmPassword } from '../harness/golden-repository.ts';
import { scratchFolder } from '../harness/scratch.ts';
import { WindlassClient } from '../harness/windlass-command.ts';

const chromium = findChromium();
const skip = chromium === undefined ? 'there is no chromium' : false;
const PASSWORD = 'kit-password';
const DESKTOP = { width: 1200, height: 900 };
const PHONE = { width: 360, height: 640 };

interface Made {
  readonly folder: string;
  readonly repository: string;
  readonly kit: string;
  readonly source: string;
}

/** A repository of ours with one snapshot of a small tree, and its kit. */
async function makeRepository(t: TestContext, ...create: readonly string[]): Promise<Made> {
  const folder = scratchFolder(t, 'kit');
  const [source, repository, kit] = [join(folder, 'source'), join(folder, 'repository'), join(folder, 'kit.html')];
  mkdirSync(join(source, 'sub/deeper'), { recursive: true });
  writeFileSync(join(source, 'large.bin'), largeBytes());
  writeFileSync(join(source, 'sub/deeper/note.txt'), 'found again\n');
  writeFileSync(join(source, 'sub/<img src=x onerror=alert(1)>'), 'a name that looks like HTML\n');
  symlinkSync('../large.bin', join(source, 'sub/link'));
  const windlass = new WindlassClient({ repository, password: PASSWORD, cacheFolder: join(folder, 'cache') });
  await windlass.ok('repository', 'create', ...create);
  await windlass.ok('snapshot', 'create', source);
  await windlass.ok('recovery-kit', kit);
  return { folder, repository, kit, source };
}

/** Longer than a chunk, so that it is an indirect object. */
function largeBytes(): Buffer {
  const parts: Buffer[] = [];
  for (let i = 0; i < 11 * 2 ** 15; i++) parts.push(createHash('sha256').update(`${i}`).digest());
  return Buffer.concat(parts);
}

async function openKit(t: TestContext, kit: string, size = DESKTOP): Promise<BrowserPage> {
  const page = await BrowserPage.open(t, chromium ?? '', scratchFolder(t, 'chromium'), size);
  await page.goTo(pathToFileURL(kit).href);
  return page;
}

async function enterPassword(page: BrowserPage, password: string): Promise<void> {
  await page.type('#password', password);
  await page.click('#password-form button');
}

/** The bytes of a download, once the browser has finished it. */
async function downloaded(page: BrowserPage, name: string): Promise<Buffer> {
  const path = join(page.downloads, name);
  for (let tries = 0; tries < 600; tries++) {
    if (existsSync(path) && statSync(path).size > 0) return readFileSync(path);
    await delay(50);
  }
  throw new Error(`${name} was not downloaded`);
}

before(() => {
  if (skip !== false) console.log(`recovery kits: skipped, ${skip}`);
});

test('a kit opens a folder, browses, searches, and saves files that are equal', { skip }, async (t) => {
  const made = await makeRepository(t);
  const page = await openKit(t, made.kit);
  await page.choose('#folder', [made.repository]);

  await enterPassword(page, 'not the password');
  await page.until('document.getElementById("message").textContent.includes("PASSWORD_WRONG")');
  await enterPassword(page, PASSWORD);
  await page.click('#snapshots button', made.source);
  await page.click('#entries button.file', 'large.bin');
  assert.deepEqual(await downloaded(page, 'large.bin'), largeBytes());

  await page.click('#entries button', 'sub/');
  await page.until('document.getElementById("entries").innerText.includes("link → ../large.bin")');
  assert.equal(await page.evaluate('document.querySelectorAll("#entries img").length'), 0);
  await page.click('button', 'All snapshots');
  await page.type('#pattern', 'note.*');
  await page.click('#search-form button[type=submit]');
  await page.click('#found button', 'sub/deeper/note.txt');
  assert.equal((await downloaded(page, 'note.txt')).toString(), 'found again\n');
});

test('a directory is saved as a tar archive that tar unpacks to the same', { skip }, async (t) => {
  const made = await makeRepository(t);
  const page = await openKit(t, made.kit);
  await page.choose('#folder', [made.repository]);
  await enterPassword(page, PASSWORD);
  await page.click('#snapshots button', made.source);
  await page.click('#save-all');
  await downloaded(page, 'snapshot.tar');
  await delay(500);
  const out = join(made.folder, 'out');
  mkdirSync(out);
  const unpack = spawnSync('tar', ['-xf', join(page.downloads, 'snapshot.tar'), '-C', out], { encoding: 'utf8' });
  assert.equal(unpack.status, 0, unpack.stderr);
  const compare = spawnSync('diff', ['-r', '--no-dereference', made.source, out], { encoding: 'utf8' });
  assert.equal(compare.status, 0, compare.stdout);
});

test('what an archive cannot carry is listed in the page', { skip }, async (t) => {
  const made = await makeRepository(t);
  assert.equal(spawnSync('mkfifo', [join(made.source, 'sub/pipe')]).status, 0);
  const cacheFolder = join(made.folder, 'cache');
  const windlass = new WindlassClient({ repository: made.repository, password: PASSWORD, cacheFolder });
  const { id } = (await windlass.json('snapshot', 'create', made.source)) as { id: string };
  assert.ok(id !== '');
  const page = await openKit(t, made.kit);
  await page.choose('#folder', [made.repository]);
  await enterPassword(page, PASSWORD);
  await page.click('#snapshots button', made.source);
  await page.until('document.getElementById("entries")');
  await page.click('#save-all');
  await page.until('document.getElementById("left-out")?.innerText.includes("sub/pipe: a ")');
});

test('a repository that has lost its format blob opens with the kit’s copy', { skip }, async (t) => {
  const made = await makeRepository(t);
  rmSync(join(made.repository, 'kopia.repository.f'));
  const page = await openKit(t, made.kit);
  await page.choose('#folder', [made.repository]);
  await enterPassword(page, PASSWORD);
  await page.until('document.querySelectorAll("#snapshots button").length === 1');
});

test('a damaged pack is an error that names the content, and nothing is saved', { skip }, async (t) => {
  const made = await makeRepository(t);
  const damaged = join(made.folder, 'damaged');
  cpSync(made.repository, damaged, { recursive: true });
  const packs = spawnSync('find', [join(damaged, 'p'), '-name', '*.f'], { encoding: 'utf8' })
    .stdout.trim()
    .split('\n');
  for (const pack of packs) {
    const bytes = readFileSync(pack);
    for (let at = 1000; at < bytes.length - 100_000; at += 50_000) bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(pack, bytes);
  }
  const page = await openKit(t, made.kit);
  await page.choose('#folder', [damaged]);
  await enterPassword(page, PASSWORD);
  await page.click('#snapshots button', made.source);
  await page.click('#entries button.file', 'large.bin');
  await page.until('document.getElementById("message").textContent.includes("CONTENT_CORRUPT")');
  assert.equal(existsSync(join(page.downloads, 'large.bin')), false);
});

test('the page fits a phone', { skip }, async (t) => {
  const made = await makeRepository(t);
  const page = await openKit(t, made.kit, PHONE);
  await page.send('Emulation.setDeviceMetricsOverride', { ...PHONE, deviceScaleFactor: 2, mobile: true });
  const fits = async (): Promise<void> => {
    assert.ok((await page.evaluate<number>('document.documentElement.scrollWidth')) <= PHONE.width);
  };
  await fits();
  await page.choose('#folder', [made.repository]);
  await enterPassword(page, PASSWORD);
  await page.click('#snapshots button', made.source);
  await page.until('document.getElementById("entries")');
  await fits();
});

test('a zip archive of a repository opens', { skip }, async (t) => {
  const made = await makeRepository(t);
  const archive = join(made.folder, 'repository.zip');
  // Python is on every machine that has apt; zip need not be.
  const script = `import shutil,sys; shutil.make_archive(sys.argv[1][:-4], 'zip', sys.argv[2])`;
  const zipped = spawnSync('python3', ['-c', script, archive, made.repository], { encoding: 'utf8' });
  if (zipped.error !== undefined) return t.skip('there is no python3 to make one with');
  assert.equal(zipped.status, 0, zipped.stderr);
  const page = await openKit(t, made.kit);
  await page.choose('#archive', [archive]);
  await enterPassword(page, PASSWORD);
  await page.click('#snapshots button', made.source);
  await page.click('#entries button.file', 'large.bin');
  assert.deepEqual(await downloaded(page, 'large.bin'), largeBytes());
});

for (const name of kopiaAlgorithmNames()) {
  test(`an archive of Kopia’s repository ${name} opens with a kit of another one`, { skip }, async (t) => {
    const made = await makeRepository(t);
    const page = await openKit(t, made.kit);
    await page.choose('#archive', [join(KOPIA_ALGORITHMS_FOLDER, `${name}.tar.gz`)]);
    await enterPassword(page, kopiaAlgorithmPassword(name));
    await page.click('#snapshots button');
    await page.click('#entries button.file', 'book.txt');
    const book = await downloaded(page, 'book.txt');
    const listed = /^f .* (\d+) ([0-9a-f]{24}) {2}?book\.txt$/m.exec(
      readFileSync(join(KOPIA_ALGORITHMS_FOLDER, `${name}.tree.txt`), 'utf8')
        .replaceAll(/ +/g, ' ')
        .replaceAll(' book.txt', '  book.txt'),
    );
    assert.equal(book.length, Number(listed?.[1]));
    assert.equal(createHash('sha256').update(book).digest('hex').slice(0, 24), listed?.[2]);
  });
}
