#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { registerContractCommands } from './contract';
import { registerDoctorCommand } from './doctor';
import { registerEngineCommands } from './engines';
import { errorText, exitCode, exitCodesHelp } from './exit';
import { Interrupted } from './interrupt';
import { registerModelsCommands } from './models';
import { registerStreamCommand } from './stream';
import { registerTranscribeCommand } from './transcribe';
import { packageVersion } from './version';

async function main(): Promise<void> {
  // Commands inherit these settings when they are added.
  const program = new Command('trt-asr')
    .description('Parakeet-TDT speech recognition on any CPU')
    .version(packageVersion())
    .exitOverride()
    .showHelpAfterError('(add --help for the options)')
    .addHelpText('after', exitCodesHelp);
  registerTranscribeCommand(program);
  registerStreamCommand(program);
  registerModelsCommands(program);
  registerContractCommands(program);
  registerEngineCommands(program);
  registerDoctorCommand(program);
  await program.parseAsync();
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // A reader that has seen enough (`| head`) is no error.
  if (error.code === 'EPIPE') process.exit(0);
  process.stderr.write(`trt-asr: standard output: ${error.message}\n`);
  process.exit(1);
});
// Nothing is left to tell it to.
process.stderr.on('error', () => {});

main().catch((error: unknown) => {
  if (error instanceof CommanderError) {
    // Commander has printed its message. A wrong use of the command line is a bad argument.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
    return;
  }
  process.stderr.write(`trt-asr: ${errorText(error)}\n`);
  process.exitCode = exitCode(error);
  // What is under way, a window or a read of standard input, is not waited for.
  if (error instanceof Interrupted) process.exit();
});
