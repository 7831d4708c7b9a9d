#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { registerDoctorCommand } from './doctor';
import { errorText, exitCode } from './exit';
import { registerModelsCommands } from './models';
import { registerTranscribeCommand } from './transcribe';
import { packageVersion } from './version';

async function main(): Promise<void> {
  const program = new Command('trt-asr')
    .description('Parakeet-TDT speech recognition on any CPU')
    .version(packageVersion())
    .exitOverride()
    .showHelpAfterError('(add --help for the options)');
  registerTranscribeCommand(program);
  registerModelsCommands(program);
  registerDoctorCommand(program);
  for (const command of program.commands) command.exitOverride().showHelpAfterError();
  await program.parseAsync();
}

// A reader that has seen enough (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

main().catch((error: unknown) => {
  if (error instanceof CommanderError) {
    // Commander has printed its message. A wrong use of the command line is a bad argument.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
    return;
  }
  process.stderr.write(`trt-asr: ${errorText(error)}\n`);
  process.exitCode = exitCode(error);
});
