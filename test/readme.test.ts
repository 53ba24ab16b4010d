/**
 * The pages do what they say: every ```ts block of the README and of the concepts page passes the type checker and runs, and prints what its
 * `// →` comments claim; every `npx fovea` line is carried out (training on a few pictures), every npm script exists, links lead somewhere,
 * and the Chinese pages hold the same code. A block after `<!-- not run: reason -->` is left out.
 */

import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { F, loss, models, nn, optim, zeros } from 'fovea';
import { data, io } from 'fovea/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageFromSources } from './dist.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = [
  { english: 'README.md', chinese: 'README.zh-CN.md' },
  { english: 'docs/concepts.md', chinese: 'docs/concepts.zh-CN.md' },
  { english: 'docs/models.md', chinese: 'docs/models.zh-CN.md' },
  { english: 'docs/weights.md', chinese: 'docs/weights.zh-CN.md' },
  { english: 'docs/pictures.md', chinese: 'docs/pictures.zh-CN.md' },
];

interface Block {
  readonly language: string;
  readonly code: string;
  /** Of the first line of code. */
  readonly line: number;
  readonly notRun: string | null;
}

const texts = new Map<string, string>();
for (const file of [...pages.flatMap((page) => Object.values(page)), 'docs/architecture.md']) {
  texts.set(file, await readFile(join(root, file), 'utf8'));
}

function blocksOf(file: string): Block[] {
  const lines = texts.get(file)!.split('\n');
  const blocks: Block[] = [];
  for (let i = 0; i < lines.length; i++) {
    const fence = /^```(\w*)$/.exec(lines[i]);
    if (fence === null) continue;
    const end = lines.indexOf('```', i + 1);
    const notRun = /^<!-- not run: (.+) -->$/.exec(lines[i - 1] ?? '')?.[1] ?? null;
    blocks.push({ language: fence[1], code: lines.slice(i + 1, end).join('\n'), line: i + 2, notRun });
    i = end;
  }
  return blocks;
}

/** What a block does: its code without remarks. */
function bare({ language, code }: Block): string {
  const remark = language === 'sh' ? /(^|\s+)#.*$/ : /(^|\s+)\/\/.*$/;
  const lines = code.split('\n').map((line) => line.replace(remark, '').trimEnd());
  return `${language}\n${lines.filter((line) => line !== '').join('\n')}`;
}

/** What its comments say it prints. */
function claims({ code }: Block): string[] {
  return Array.from(code.matchAll(/\/\/ → (.*)$/gm), ([, text]) => text.trim());
}

const programs = pages.flatMap(({ english }) =>
  blocksOf(english)
    .filter((block) => block.language === 'ts' && block.notRun === null)
    .map((block) => ({
      title: `${english}:${block.line}`,
      name: `${basename(english, '.md')}-${block.line}`,
      code: block.code,
      claims: claims(block),
    })),
);

/** Programs run one after another in one process, each as its own module; what they print is kept apart. */
const runner = `
import { format } from 'node:util';
const results = {};
for (const name of process.argv.slice(2)) {
  const printed = [];
  console.log = (...args) => void printed.push(...format(...args).split('\\n'));
  console.warn = console.log;
  try {
    await import(\`./\${name}.js\`);
    results[name] = { printed, error: null };
  } catch (error) {
    results[name] = { printed, error: String(error.stack) };
  }
}
process.stdout.write(JSON.stringify(results));
`;

interface Result {
  readonly printed: readonly string[];
  readonly error: string | null;
}

let made: Awaited<ReturnType<typeof packageFromSources>>;
let folder: string; // of the package
let playground: string; // where commands run
let types = '';
let results: Record<string, Result> = {};

beforeAll(async () => {
  made = await packageFromSources({ web: true });
  folder = made.folder;
  playground = await mkdtemp(join(tmpdir(), 'fovea-readme-'));
  for (const { name, code } of programs) await writeFile(join(folder, `${name}.mts`), `${code}\n`);
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(typeCheck()));
  // They are files of the package, which may import it by its name.
  await build({
    entryPoints: programs.map(({ name }) => join(folder, `${name}.mts`)),
    outdir: join(folder, 'programs'),
    platform: 'node',
    target: 'node20',
    format: 'esm',
    logLevel: 'error',
  });
  await writeFile(join(folder, 'programs', 'run-all.mjs'), runner);

  const { test } = await data.mnist();
  const { inputs } = test.batch([0]);
  const picture = { data: inputs as Uint8Array, shape: [1, 28, 28] as const };
  await writeFile(join(playground, 'digit.png'), await io.encodePng(picture));
  await writePhotos(join(playground, 'photos'));

  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const checked = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' });
  types = checked.stdout + checked.stderr;
  const names = programs.map(({ name }) => name);
  // What they write lands where the commands write.
  const runAll = join(folder, 'programs', 'run-all.mjs');
  const ran = spawnSync(process.execPath, [runAll, ...names], { encoding: 'utf8', cwd: playground });
  if (ran.status !== 0) throw new Error(`the programs ended with ${ran.status}\n${ran.stderr}`);
  results = JSON.parse(ran.stdout) as Record<string, Result>;
}, 120_000);

afterAll(async () => {
  await made.remove();
  await rm(playground, { recursive: true, force: true });
});

/** Two classes that differ in colour: what a few steps can learn. */
async function writePhotos(folder: string): Promise<void> {
  for (const [label, name] of ['cats', 'dogs'].entries()) {
    await mkdir(join(folder, name), { recursive: true });
    for (let i = 0; i < 12; i++) {
      const [height, width] = [40 + i, 60];
      const plane = height * width;
      const data = Uint8Array.from(
        { length: 3 * plane },
        (_, k) => (k < plane === (label === 0) ? 200 : 40) + ((k * 7 + i * 13) % 50),
      );
      await writeFile(join(folder, name, `${i}.png`), await io.encodePng({ data, shape: [3, height, width] }));
    }
  }
}

function typeCheck() {
  return {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      rootDir: root,
      noImplicitOverride: false, // a matter of taste that readers need not share
      noUnusedLocals: true,
      paths: Object.fromEntries(
        ['index', 'io', 'node'].map((entry) => [
          entry === 'index' ? 'fovea' : `fovea/${entry}`,
          [join(root, `src/${entry}.ts`)],
        ]),
      ),
      typeRoots: [join(root, 'node_modules/@types')],
    },
    include: [],
    files: programs.map(({ name }) => `${name}.mts`),
  };
}

describe('snippets', () => {
  it('are there', () => {
    expect(programs.length).toBeGreaterThan(15);
    expect(programs.flatMap((program) => program.claims).length).toBeGreaterThan(30);
  });

  it('pass the type checker', () => {
    expect(types).toBe('');
  });

  it.each(programs.map((program) => [program.title, program] as const))(
    '%s runs and prints what it says',
    (_, program) => {
      const { printed, error } = results[program.name];
      expect(error).toBeNull();
      let at = 0;
      for (const claim of program.claims) {
        const found = printed.indexOf(claim, at);
        expect(
          found,
          `nothing printed ${claim}; from there on: ${printed.slice(at).join('\n')}`,
        ).toBeGreaterThanOrEqual(0);
        at = found + 1;
      }
    },
  );
});

const commands = pages
  .flatMap(({ english }) => blocksOf(english))
  .filter((block) => block.language === 'sh' && block.notRun === null)
  .flatMap((block) => bare(block).split('\n').slice(1));

describe('commands', () => {
  it('cover every subcommand', async () => {
    const { subcommands } = await import('../src/cli/commands.js');
    // `serve` runs until it is stopped: its block is not run, its own tests run it.
    const lines = pages.flatMap(({ english }) => blocksOf(english)).flatMap((block) => bare(block).split('\n'));
    const shown = lines.flatMap((line) => /^npx fovea ([\w-]+)/.exec(line)?.[1] ?? []);
    expect(new Set(shown)).toEqual(new Set(subcommands.map(({ name }) => name)));
  });

  it.each(commands.filter((line) => line.startsWith('npx fovea ')))('%s', (line) => {
    const args = line.split(/\s+/).slice(2);
    if (args[0] === 'train' && !args.includes('--resume')) args.push('--limit', '128', '--test-limit', '100');
    const { status, stdout, stderr } = spawnSync(process.execPath, [made.main, ...args], {
      cwd: playground,
      encoding: 'utf8',
      env: { ...process.env, NO_COLOR: '1' },
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout.length).toBeGreaterThan(20);
  });

  it('of npm are scripts of the package', async () => {
    const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    const others = commands.filter((line) => !line.startsWith('npx fovea '));
    expect(others.length).toBeGreaterThan(3);
    for (const line of others) {
      const [, name, flags = ''] = /^npm (?:run )?(\w+)(?: -- (.+))?$/.exec(line) ?? [];
      expect(Object.keys(scripts), line).toContain(name);
      if (flags === '') continue;
      const script = await readFile(join(root, scripts[name].split(' ').at(-1)), 'utf8');
      for (const [, flag] of flags.matchAll(/--(\w+)/g)) expect(script, line).toMatch(`${flag}: { type`);
    }
  });
});

describe('pages', () => {
  it.each(pages)('$chinese holds the code of $english, and claims the same', ({ english, chinese }) => {
    const [ours, theirs] = [blocksOf(english), blocksOf(chinese)];
    expect(theirs.map(bare)).toEqual(ours.map(bare));
    expect(theirs.map(claims)).toEqual(ours.map(claims));
    expect(headings(chinese).map((h) => h.level)).toEqual(headings(english).map((h) => h.level));
    expect(rows(chinese).length).toBe(rows(english).length);
  });

  it.each([...texts.keys()])('%s links to what is there', async (file) => {
    for (const [, target] of texts.get(file)!.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
      if (/^https?:/.test(target)) continue;
      await expect(stat(join(root, dirname(file), target)), target).resolves.toBeDefined();
    }
  });

  it.each(['docs/models.md', 'docs/models.zh-CN.md'])('%s names every model of the zoo', (file) => {
    const missing = models.registry.filter(({ modelName }) => !texts.get(file)!.includes(`\`${modelName}\``));
    expect(missing.map(({ modelName }) => modelName)).toEqual([]);
  });

  it.each(pages.flatMap((page) => Object.values(page)).filter((file) => file.startsWith('README')))(
    '%s names only what the package exports',
    (file) => {
      const names = rows(file).flatMap((row) =>
        Array.from((row.split('|')[3] ?? '').matchAll(/\b(nn|loss|data|optim|models|F)\.(\w+)/g), ([, space, name]) => [
          space,
          name,
        ]),
      );
      expect(names.length).toBeGreaterThan(5);
      for (const [space, name] of names) expect(Object.keys(spaces[space]), `${space}.${name}`).toContain(name);
    },
  );

  it.each(['README.md', 'README.zh-CN.md'])('%s shows a shape error word for word', (file) => {
    const model = new nn.Sequential({ conv1: new nn.Conv2d(3, 64, 1), conv2: new nn.Conv2d(32, 128, 3) });
    let message = '';
    try {
      model.forward(zeros([32, 3, 56, 56]));
    } catch (error) {
      message = String(error);
    }
    const shown = message.split('\n').map((line) => `    ${line}`);
    expect(texts.get(file)).toContain(shown.join('\n'));
  });
});

const spaces: Record<string, object> = { F, data, loss, models, nn, optim };

function headings(file: string): { level: number; text: string }[] {
  const outside = texts.get(file)!.replace(/^```[\s\S]*?^```$/gm, '');
  return Array.from(outside.matchAll(/^(#+) (.+)$/gm), ([, marks, text]) => ({ level: marks.length, text }));
}

/** Rows of tables. */
function rows(file: string): string[] {
  return texts.get(file)!.split('\n').filter((line) => line.startsWith('|')); // biome-ignore format: one thought
}
