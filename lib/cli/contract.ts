import type { Command } from 'commander';
import type { NativeDescription } from '../binding';
import { type ContractReport, checkFolder } from '../model/contract_check';
import { CONTRACT_DIFFERS } from './exit';
import { interruptible } from './interrupt';

function modelText(model: NativeDescription): string {
  const { rule, melBins, normalization, encoderWidth, subsampling, framesMax, vocabulary, frameMs } = model;
  const predictor = rule === 'ctc' ? '' : `, predictor ${model.predictorLayers} x ${model.predictorWidth}`;
  const durations = model.durations === 0 ? '' : `, ${model.durations} durations`;
  return (
    `${rule}, ${melBins} mel bins (${normalization}), encoder output ${encoderWidth} wide, ` +
    `1 frame of ${frameMs} ms from ${subsampling}, at most ${framesMax} frames${predictor}, ` +
    `${vocabulary} pieces${durations}`
  );
}

function reportText({ dir, layout, source, findings, model }: ContractReport): string {
  const lines = findings.map(
    ({ field, expected, received }) => `${field}: expected ${expected}, received ${received}`,
  );
  const count = findings.length === 1 ? '1 difference' : `${findings.length} differences`;
  const whole = source === 'derived' ? 'a model without a contract' : 'a model that holds to its contract';
  lines.push(`${dir} (${layout}): ${findings.length === 0 ? whole : count}`);
  if (model !== undefined) {
    const origin = source === 'derived' ? 'derived from its graphs and a reference contract: ' : '';
    lines.push(`  ${origin}${modelText(model)}`);
  }
  return `${lines.join('\n')}\n`;
}

async function check(dir: string, options: { json?: boolean }): Promise<void> {
  const report = await interruptible((signal) => checkFolder(dir, signal));
  process.stdout.write(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : reportText(report));
  if (!report.ok) process.exitCode = CONTRACT_DIFFERS;
}

/** Adds `contract check`. Exit code 2 when the folder differs from its contract. */
export function registerContractCommands(program: Command): void {
  program
    .command('contract')
    .description('compare a model folder with its contract')
    .command('check <dir>')
    .description('check the contract, the files, the graphs and the vocabulary; print every difference')
    .option('--json', 'print one JSON object')
    .action(check);
}
