/**
 * The `fovea` command as a function from arguments to exit code: 0 when all went well, 1 for a failure, 2 for a wrong call, 130 after Ctrl-C.
 * Only the subcommand that is called is loaded, so help comes at once.
 */

import { Command, CommanderError, Help, type Option } from 'commander';
import { subcommands } from './commands.js';
import { printable } from './output.js';
import { exitCodes, Interrupted, UsageError } from './usage.js';
import { version } from './version.js';

export async function run(args: readonly string[]): Promise<number> {
  const program = new Command('fovea')
    .description('Convolutional neural networks: train one, look inside it, use it.')
    .usage('<command> [options]')
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText(
      'after',
      '\nExamples:\n  $ fovea train mnist --model classic --out runs/a\n  $ fovea predict runs/a digit.png\n  $ fovea train --help',
    );
  const called = calledCommand(args);
  for (const { name, summary, load } of subcommands) {
    const command = called === name ? (await load()).command() : new Command(name);
    command.name(name).summary(summary);
    if (command.description() === '') command.description(summary);
    program.addCommand(command);
  }
  if (args[0] === '--version' || args[0] === '-V') {
    process.stdout.write(`${await version()}\n`);
    return exitCodes.ok;
  }
  program.option('-V, --version', 'print the version');
  for (const command of [program, ...program.commands]) {
    command.exitOverride().showSuggestionAfterError().showHelpAfterError('(--help shows how to call it)');
    command.configureHelp({ optionDescription });
    command.configureOutput({ outputError: (text, write) => write(text) });
  }
  try {
    if (args.length === 0) {
      program.outputHelp();
      return exitCodes.ok;
    }
    await program.parseAsync(args, { from: 'user' });
    return exitCodes.ok;
  } catch (error) {
    return report(error, args.includes('--json'));
  }
}

/** As commander writes it, but "(default: [])" of what may be given several times says nothing. */
function optionDescription(this: Help, option: Option): string {
  const { defaultValue } = option;
  const isEmpty = typeof defaultValue === 'object' && defaultValue !== null && Object.keys(defaultValue).length === 0;
  const shown = isEmpty ? (Object.create(option, { defaultValue: { value: undefined } }) as Option) : option;
  return Help.prototype.optionDescription.call(this, shown);
}

/** Which subcommand the arguments call, directly or as `fovea help train`. */
function calledCommand(args: readonly string[]): string | undefined {
  const words = args.filter((arg) => !arg.startsWith('-'));
  return words[0] === 'help' ? words[1] : words[0];
}

/** Says what went wrong. Errors that teach are shown as they are; anything else is a bug of ours and keeps its stack. */
function report(error: unknown, json: boolean): number {
  if (error instanceof Interrupted) return error.exitCode;
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  const known = error instanceof Error && expectedErrors.includes(error.name);
  const message = error instanceof Error ? error.message : String(error);
  if (json) process.stdout.write(`${JSON.stringify({ event: 'error', name: (error as Error).name, message })}\n`);
  process.stderr.write(known ? `error: ${safe(message)}\n` : `${error instanceof Error ? error.stack : message}\n`);
  return error instanceof UsageError ? exitCodes.usage : exitCodes.failure;
}

/** Messages have lines, and names of files in them, which may have anything. */
function safe(message: string): string {
  return message.split('\n').map(printable).join('\n');
}

/** By name, so that their modules need not be loaded to print help. */
const expectedErrors = [
  'UsageError',
  'ConfigError',
  'FormatError',
  'FileError',
  'ShapeError',
  'DivergenceError',
  'DeviceError',
  'OutOfMemoryError',
];
