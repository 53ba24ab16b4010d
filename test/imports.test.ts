/**
 * Keeps the house in order by reading it: imports go down the list of folders and never up, folders form no cycles,
 * Node stays in files that say so by their name (`*.node.ts`, or the folder cli/), and every source opens with a comment.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

/** docs: "The house". Folders on one line are one level; within it, and only there, order is left to the cycle check. */
const levels = [
  ['(root)'], // src/index.ts and the other entry points of the package
  ['cli'],
  ['explain', 'report', 'serve'],
  ['web'],
  ['train'],
  ['data'],
  ['io'],
  ['distributed'],
  ['models'],
  ['optim', 'nn'],
  ['tensor'],
  ['ops'],
  ['grad'],
  ['compile'],
  ['kernels'],
  ['codegen', 'devices'], // a device asks codegen for its bytes
  ['graph'],
  ['ir'],
  ['util'],
];
const level = new Map(levels.flatMap((folders, i) => folders.map((folder) => [folder, i] as const)));

const src = fileURLToPath(new URL('../src', import.meta.url));

interface Source {
  path: string; // relative to src/, with forward slashes
  text: string;
  imports: Import[];
}

interface Import {
  specifier: string;
  line: number;
  kind: 'static' | 'type' | 'dynamic';
}

const sources: Source[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
  .sort()
  .map((path) => {
    const text = readFileSync(join(src, path), 'utf8');
    return { path, text, imports: importsOf(text) };
  });

describe('the house', () => {
  it('knows every folder', () => {
    expect(sources.length).toBeGreaterThan(0);
    expect(unique(sources.map((s) => folderOf(s.path))).filter((folder) => !level.has(folder))).toEqual([]);
  });

  it('imports downwards only', () => {
    expect(upwardImports(sources)).toEqual([]);
  });

  it('has no cycle between folders', () => {
    expect(folderCycle(sources)).toBeNull();
  });

  it('keeps Node out of the files a browser loads', () => {
    expect(nodeLeaks(sources)).toEqual([]);
  });

  it('opens every source with a comment that says what it is for', () => {
    expect(sources.filter((s) => !/^(#!.*\n)?\/\*\*?[\s\S]{10}|^\/\/ .{10}/.test(s.text)).map((s) => s.path)).toEqual(
      [],
    );
  });
});

describe('the reader of the house', () => {
  const source = (path: string, text: string): Source => ({ path, text, imports: importsOf(text) });

  it('finds every form of import and no other string', () => {
    const text = [
      "import { a } from './a.js';",
      "import type { B } from './b.js';",
      'import {',
      '  c,',
      "} from './c.js';",
      "export * from './d.js';",
      "export type { E } from './e.js';",
      "import './f.js';",
      "const g = await import('./g.js');",
      "type H = typeof import('./h.js');",
      "// import { no } from './comment.js';",
      "/* import { no } from './comment.js'; */",
      'const s = "import { no } from \'./string.js\'";',
    ].join('\n');
    expect(importsOf(text)).toEqual([
      { specifier: './a.js', line: 1, kind: 'static' },
      { specifier: './b.js', line: 2, kind: 'type' },
      { specifier: './c.js', line: 3, kind: 'static' },
      { specifier: './d.js', line: 6, kind: 'static' },
      { specifier: './e.js', line: 7, kind: 'type' },
      { specifier: './f.js', line: 8, kind: 'static' },
      { specifier: './g.js', line: 9, kind: 'dynamic' },
      { specifier: './h.js', line: 10, kind: 'type' },
    ]);
  });

  it('reports an import that goes up, types included', () => {
    const bad = source('graph/x.ts', "/** x */\nimport type { T } from '../tensor/t.js';");
    expect(upwardImports([bad])).toEqual(['graph/x.ts:2 imports ../tensor/t.js: graph may not import tensor']);
    expect(upwardImports([source('optim/x.ts', "import { Module } from '../nn/module.js';")])).toEqual([]);
  });

  it('reports a cycle inside a level', () => {
    const a = source('optim/a.ts', "import { b } from '../nn/b.js';");
    const b = source('nn/b.ts', "import { a } from '../optim/a.js';");
    expect(folderCycle([a])).toBeNull();
    expect(folderCycle([a, b])).toBe('optim → nn → optim');
  });

  it('reports Node modules, with or without the prefix, and files of Node reached from the core', () => {
    const text =
      "import 'node:fs';\nimport 'fs/promises';\nimport { x } from './x.node.js';\nawait import('./x.node.js');";
    expect(nodeLeaks([source('io/a.ts', text)])).toEqual([
      'io/a.ts:1 imports node:fs',
      'io/a.ts:2 imports fs/promises',
      'io/a.ts:3 imports ./x.node.js',
    ]);
    expect(nodeLeaks([source('io/a.node.ts', text), source('cli/main.ts', text), source('node.ts', text)])).toEqual([]);
  });
});

function upwardImports(files: Source[]): string[] {
  return files.flatMap(({ path, imports }) =>
    imports
      .map((i) => ({ ...i, to: targetFolder(path, i.specifier), from: folderOf(path) }))
      .filter(({ to, from }) => to !== null && (level.get(to) ?? -1) < (level.get(from) ?? -1))
      .map(({ specifier, line, to, from }) => `${path}:${line} imports ${specifier}: ${from} may not import ${to}`),
  );
}

/** The first cycle a depth-first walk over folders meets, or null. */
function folderCycle(files: Source[]): string | null {
  const edges = new Map<string, Set<string>>();
  for (const { path, imports } of files) {
    const from = folderOf(path);
    for (const { specifier } of imports) {
      const to = targetFolder(path, specifier);
      if (to !== null && to !== from) edges.set(from, (edges.get(from) ?? new Set()).add(to));
    }
  }
  const done = new Set<string>();
  const walk = (folder: string, trail: string[]): string | null => {
    if (trail.includes(folder)) return [...trail.slice(trail.indexOf(folder)), folder].join(' → ');
    if (done.has(folder)) return null;
    for (const next of edges.get(folder) ?? []) {
      const cycle = walk(next, [...trail, folder]);
      if (cycle) return cycle;
    }
    done.add(folder);
    return null;
  };
  for (const folder of edges.keys()) {
    const cycle = walk(folder, []);
    if (cycle) return cycle;
  }
  return null;
}

/** Types of Node are erased and harmless. A dynamic import of a `*.node.ts` file is fine: it stands behind a check for Node and bundlers leave it out. */
function nodeLeaks(files: Source[]): string[] {
  return files
    .filter(({ path }) => !isNodeOnly(path))
    .flatMap(({ path, imports }) =>
      imports
        .filter(
          ({ specifier, kind }) =>
            (kind !== 'type' && isNodeModule(specifier)) || (kind === 'static' && specifier.endsWith('.node.js')),
        )
        .map(({ specifier, line }) => `${path}:${line} imports ${specifier}`),
    );
}

function isNodeOnly(path: string): boolean {
  return path.endsWith('.node.ts') || path.startsWith('cli/') || path === 'node.ts';
}

const bareNodeModules =
  /^(assert|buffer|child_process|crypto|events|fs|http|https|module|net|os|path|perf_hooks|process|stream|url|util|vm|worker_threads|zlib)(\/|$)/;

function isNodeModule(specifier: string): boolean {
  return specifier.startsWith('node:') || bareNodeModules.test(specifier);
}

function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : '(root)';
}

function targetFolder(path: string, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null;
  return folderOf(normalize(join(dirname(path), specifier)).replaceAll('\\', '/'));
}

/** Reads the code with comments blanked out (their line breaks kept); an import statement always starts its line. */
function importsOf(text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, (c) => c.replace(/[^\n]/g, ' ')).replace(/^\s*\/\/.*$/gm, '');
  const found: Import[] = [];
  const add = (match: RegExpMatchArray, specifier: string, kind: Import['kind']) => {
    const start = match.index! + (match[0].length - match[0].trimStart().length);
    found.push({ specifier, line: code.slice(0, start).split('\n').length, kind });
  };
  for (const m of code.matchAll(/^(?:import|export)\s+(type\s)?[^'"`;=()]*?from\s*['"]([^'"]+)['"]/gm)) {
    add(m, m[2], m[1] ? 'type' : 'static');
  }
  for (const m of code.matchAll(/^import\s*['"]([^'"]+)['"]/gm)) add(m, m[1], 'static');
  for (const m of code.matchAll(/(\btypeof\s+)?\bimport\(\s*['"]([^'"]+)['"]\s*\)/g))
    add(m, m[2], m[1] ? 'type' : 'dynamic');
  return found.sort((a, b) => a.line - b.line);
}

function unique(values: string[]): string[] {
  return [...new Set(values)];
}
