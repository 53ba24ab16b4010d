/**
 * Makes a clone ready to run with nothing but Node and npm: installs what package-lock.json names, then compiles src/ to dist/ and bundles what
 * pages load into dist/page/.
 * Both steps are skipped when there is nothing to do, so every other script simply calls `setup()` first.
 * Plain Node without dependencies, because it runs before there are any.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Installs and builds as needed. Throws when a step fails; with `keepGoing`, a failed build only returns false. */
export function setup({ keepGoing = false } = {}) {
  checkNode();
  install();
  if (build()) return true;
  if (!keepGoing) throw new SetupError('the build failed: see the errors above');
  return false;
}

export class SetupError extends Error {}

/** Runs a program that npm installed (`vitest`, `biome`, …) in the repository; returns its exit code. */
export function runTool(packageName, bin, args, options = {}) {
  const folder = join(root, 'node_modules', packageName);
  const { bin: bins } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const script = join(folder, typeof bins === 'string' ? bins : bins[bin]);
  return spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit', ...options }).status ?? 1;
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new SetupError(`fovea needs Node 20.19 or newer; this is ${process.versions.node}`);
  }
}

function install() {
  const modules = join(root, 'node_modules');
  const stamp = join(modules, '.fovea-lock');
  const lock = readFileSync(join(root, 'package-lock.json'));
  const wanted = sha256(lock);
  if (read(stamp) === wanted) return;
  if (!isInstalled(JSON.parse(lock.toString()))) {
    console.log('setup: npm ci (installs what package-lock.json names)');
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    const npm = process.env.npm_execpath; // npm's own script when npm started us; needs no shell on any system
    const result = npm?.endsWith('.js')
      ? spawnSync(process.execPath, [npm, ...args], { cwd: root, stdio: 'inherit' })
      : spawnSync('npm', args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32' });
    if (result.status !== 0) throw new SetupError('npm ci failed: is the npm registry reachable?');
  }
  mkdirSync(modules, { recursive: true });
  writeFileSync(stamp, wanted);
}

/** Whether an npm command run by hand already put everything in place; npm leaves its own record in node_modules. */
function isInstalled(lock) {
  const record = read(join(root, 'node_modules', '.package-lock.json'));
  if (record === null) return false;
  const installed = JSON.parse(record).packages;
  const chosen = new Set(
    Object.keys(lock.packages[''].optionalDependencies ?? {}).map((name) => `node_modules/${name}`),
  );
  return Object.entries(lock.packages).every(
    ([path, entry]) =>
      path === '' ||
      (entry.optional && !chosen.has(path)) ||
      (installed[path]?.version === entry.version && existsSync(join(root, path))),
  );
}

function build() {
  const dist = join(root, 'dist');
  const stamp = join(dist, '.fovea-build');
  const sources = list(join(root, 'src')).filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'));
  const others = ['tsconfig.json', 'tsconfig.build.json', 'scripts/web.mjs'];
  const inputs = [...sources, ...others.map((file) => join(root, file))];
  const state = sha256(
    inputs.map((file) => `${relative(root, file)} ${statSync(file).size} ${statSync(file).mtimeMs}\n`).join(''),
  );
  if (read(stamp) === state) return true;
  console.log(`setup: tsc (${sources.length} files → dist/)`);
  rmSync(stamp, { force: true });
  if (runTool('typescript', 'tsc', ['-p', 'tsconfig.build.json']) !== 0) return false;
  removeOrphans(dist, sources);
  const bundled = spawnSync(process.execPath, [join(root, 'scripts/web.mjs')], { cwd: root, stdio: 'inherit' });
  if (bundled.status !== 0) return false;
  writeFileSync(stamp, state);
  return true;
}

/** tsc leaves the output of a deleted source behind; a stale module must not be importable. */
function removeOrphans(dist, sources) {
  const expected = new Set(sources.map((file) => relative(join(root, 'src'), file).replace(/\.ts$/, '')));
  for (const file of list(dist)) {
    const match = /^(.*?)(\.d\.ts|\.js)(\.map)?$/.exec(relative(dist, file).replaceAll('\\', '/'));
    if (match && !expected.has(match[1])) rmSync(file);
  }
}

function list(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function read(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : null;
}

function sha256(data) {
  return createHash('sha256').update(data).digest('hex');
}

/** Runs `main` as a script: a SetupError is one line, anything else is a bug and keeps its stack. */
export async function script(url, main) {
  if (!process.argv[1] || fileURLToPath(url) !== realpathSync(process.argv[1])) return;
  try {
    process.exitCode = (await main(process.argv.slice(2))) ?? 0;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(`setup: ${error.message}`);
    process.exitCode = 1;
  }
}

await script(import.meta.url, () => {
  setup();
});
