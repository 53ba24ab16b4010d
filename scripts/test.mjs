/**
 * `npm test`: set up, lint, type-check, run every test, then one closing line `N passed, M failed[, K skipped]`.
 * The counts are vitest's own, read from its JSON report; a failed build, lint or type-check adds one failure each, and so does
 * a test file that could not be loaded or an error outside any test. Arguments after `--` go to vitest: `npm test -- src/io`. `npm test -- --all`
 * also computes with the largest networks of the zoo, whose names and sizes alone are compared otherwise.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runTool, SetupError, script, setup } from './setup.mjs';

await script(import.meta.url, (given) => {
  const args = given.filter((arg) => arg !== '--all');
  if (args.length < given.length) process.env.FOVEA_TESTS = 'all';
  const failedChecks = [
    ['build', buildOrExplain],
    ['lint', () => runTool('@biomejs/biome', 'biome', ['check']) === 0],
    ['type-check', () => runTool('typescript', 'tsc', ['-p', 'tsconfig.json']) === 0],
  ].filter(([name, check]) => !report(name, check()));

  const tests = runVitest(args);
  const failed = tests.failed + failedChecks.length;
  for (const [name] of failedChecks) console.log(`failed: ${name}`);
  for (const reason of tests.reasons) console.log(`failed: ${reason}`);
  console.log(`${tests.passed} passed, ${failed} failed${tests.skipped > 0 ? `, ${tests.skipped} skipped` : ''}`);
  return failed === 0 ? 0 : 1;
});

function buildOrExplain() {
  try {
    return setup({ keepGoing: true });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(`setup: ${error.message}`);
    console.log('0 passed, 1 failed'); // nothing is installed, so nothing else can run
    process.exit(1);
  }
}

function report(name, ok) {
  console.log(`${name}: ${ok ? 'ok' : 'failed'}`);
  return ok;
}

function runVitest(args) {
  const folder = mkdtempSync(join(tmpdir(), 'fovea-test-'));
  try {
    const file = join(folder, 'report.json');
    const code = runTool('vitest', 'vitest', [
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${file}`,
      ...args,
    ]);
    return count(code, readReport(file));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null; // vitest died before it could write: count() calls that a failure
  }
}

/** Every way a run can be bad becomes at least one counted failure, so the closing line and the exit code cannot disagree. */
function count(code, result) {
  if (result === null) return { passed: 0, failed: 1, skipped: 0, reasons: ['vitest ended without a report'] };
  const reasons = result.testResults
    .filter((file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'))
    .map((file) => `${file.name} (could not be loaded)`);
  const passed = result.numPassedTests;
  let failed = result.numFailedTests + reasons.length;
  const skipped = result.numTotalTests - result.numPassedTests - result.numFailedTests;
  if (failed === 0 && (code !== 0 || passed === 0)) {
    reasons.push(passed === 0 ? 'no test ran' : `vitest ended with code ${code}`);
    failed = 1;
  }
  return { passed, failed, skipped, reasons };
}
